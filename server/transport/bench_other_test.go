//go:build !linux

package transport

import "errors"

const loadVariable = "SIPD_TRANSPORT_LOAD"

func generateLoad(string) error { return errors.New("the load generator runs on Linux") }
