package provision

import (
	"context"

	"sipd/store"
)

// Pick finds the server record that -S names; "" is the only one (store.PickServer).
func Pick(ctx context.Context, st store.Admin, name string) (store.Server, error) {
	servers, err := st.Servers(ctx)
	if err != nil {
		return store.Server{}, err
	}
	return store.PickServer(servers, name)
}
