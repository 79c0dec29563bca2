module sipd

go 1.26
