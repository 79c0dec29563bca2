package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"sipd/cmd/sipd/daemon"
	"sipd/cmd/sipd/explain"
	"sipd/config"
	"sipd/server/calltrace"
)

// callsView is what --json prints: the calls with a Call-ID, the oldest first.
type callsView struct {
	Calls []calltrace.Call `json:"calls"`
}

// explainCall asks the running server for a call.
func (a *app) explainCall(ctx context.Context, flags *pflag.FlagSet, f *explainFlags) error {
	for _, name := range []string{"from", "class", "at", "method", "source", "no-credentials", "hops"} {
		if flags.Changed(name) {
			return usage(fmt.Errorf("--%s does not go with --call: that call has been made", name))
		}
	}
	admin, root, err := a.adminAddress(ctx, f.admin)
	if err != nil {
		return err
	}
	calls, err := daemon.Calls(ctx, admin, root, f.call)
	switch {
	case errors.Is(err, daemon.ErrConfig):
		return usage(err)
	case errors.Is(err, daemon.ErrNoCall):
		return fmt.Errorf("the server at %s has no call %q: %w, or no INVITE outside a dialog; write the value of its Call-ID header", admin, f.call, err)
	case err != nil:
		return fmt.Errorf("%w; write --admin ADDR:PORT where a server listens elsewhere", err)
	}
	if a.json {
		return a.printJSON(callsView{calls})
	}
	_, err = io.WriteString(a.stdout, explain.Calls(calls, visible))
	return err
}

// adminAddress is where the server answers: what --admin says, else AdminListen of the settings. Its file names hang below root.
func (a *app) adminAddress(ctx context.Context, flag string) (admin, root string, err error) {
	if flag != "" {
		if _, _, err := config.ParseAdmin(flag); err != nil {
			return "", "", usage(fmt.Errorf("--admin: %w", err))
		}
		return flag, a.root, nil
	}
	s, err := a.open(ctx)
	if err != nil {
		return "", "", err
	}
	defer s.close()
	set, err := s.settings(ctx)
	if err != nil {
		return "", "", err
	}
	return set.AdminListen, s.place.Root, nil
}
