package provision

import (
	"context"
	"fmt"

	"sipd/store"
)

// Pick finds the server record that -S names; "" is the only one.
func Pick(ctx context.Context, st store.Admin, name string) (store.Server, error) {
	servers, err := st.Servers(ctx)
	if err != nil {
		return store.Server{}, err
	}
	names := make([]string, len(servers))
	for i, s := range servers {
		names[i] = s.Name
		if s.Name == name || name == "" && len(servers) == 1 {
			return s, nil
		}
	}
	switch {
	case len(servers) == 0:
		return store.Server{}, fmt.Errorf("%w: the database has no server record; write `sipd db migrate` first", store.ErrNotFound)
	case name == "":
		return store.Server{}, fmt.Errorf("%w: the database has the server records %q; write -S with one of them", store.ErrInvalid, names)
	}
	return store.Server{}, fmt.Errorf("%w: no server record %q; the database has %q", store.ErrNotFound, name, names)
}
