package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/store"
)

// peerView is a row of trusted_peers as --json prints it.
type peerView struct {
	ID                int64    `json:"id"`
	Nets              []string `json:"nets"`
	TLSName           string   `json:"tls_name"`
	MayAssertIdentity bool     `json:"may_assert_identity"`
}

// viewPeer shows a row as it is: one that somebody wrote by hand may be wrong.
func viewPeer(p *store.TrustedPeer) peerView {
	nets := strings.FieldsFunc(p.SourceNets, func(r rune) bool { return r == ',' || r <= ' ' })
	return peerView{ID: p.ID, Nets: append([]string{}, nets...), TLSName: p.TLSName, MayAssertIdentity: p.MayAssertIdentity}
}

func (a *app) peerCommand() *cobra.Command {
	var p store.TrustedPeer
	var nets []string
	add := &cobra.Command{
		Use:   "add",
		Short: "Trust a server with identities (RFC 3325)",
		Long: "Trust a server with identities (RFC 3325): it is told who is calling also when the caller wants privacy, and with\n" +
			"--may-assert-identity what it says about its callers is believed. It is known by where it sends from, by the\n" +
			"domain of the certificate it shows, or by both together.",
		Example: "  sipd peer add --net 192.0.2.10 --net 2001:db8:5::/64\n  sipd peer add --tls-name gw.example.net --may-assert-identity",
		Args:    cobra.NoArgs,
		RunE: a.inDatabase(func(ctx context.Context, s *session, _ []string) error {
			p.SourceNets = strings.Join(nets, " ")
			return a.addPeer(ctx, s, &p)
		}),
	}
	add.Flags().StringArrayVar(&nets, "net", nil, "a network or `address` that it sends from; repeatable")
	add.Flags().StringVar(&p.TLSName, "tls-name", "", "the `domain` of the certificate that it must show")
	add.Flags().BoolVar(&p.MayAssertIdentity, "may-assert-identity", false, "what it asserts about who is calling is believed")
	list := &cobra.Command{Use: "list", Short: "List the trusted peers", Args: cobra.NoArgs, RunE: a.inDatabase(a.listPeers)}
	rm := &cobra.Command{Use: "rm ID", Short: "Trust a peer no more", Args: cobra.ExactArgs(1), RunE: a.inDatabase(a.removePeer)}
	return group("peer", "Servers that are trusted with identities", add, list, rm)
}

func (a *app) addPeer(ctx context.Context, s *session, p *store.TrustedPeer) error {
	if p.SourceNets == "" && p.TLSName == "" {
		return usage(errors.New("nothing says who the peer is; write --net with its address or network, --tls-name with the domain of its certificate, or both"))
	}
	switch err := s.AddTrustedPeer(ctx, p); {
	case errors.Is(err, store.ErrExists):
		return errors.New("this peer is there already; `sipd peer list` shows it, and `sipd peer rm ID` removes it when it should be another")
	case err != nil:
		return ofValue(err)
	}
	v := viewPeer(p)
	return a.say(v, "added trusted peer %d: %s", v.ID, strings.Join(append(v.Nets, v.names()...), " "))
}

// names are the words for what is not a network.
func (v peerView) names() (words []string) {
	if v.TLSName != "" {
		words = append(words, v.TLSName)
	}
	if v.MayAssertIdentity {
		words = append(words, "may assert identities")
	}
	return words
}

func (a *app) listPeers(ctx context.Context, s *session, _ []string) error {
	rows, err := s.TrustedPeers(ctx)
	if err != nil {
		return err
	}
	views := make([]peerView, len(rows))
	for i := range rows {
		views[i] = viewPeer(&rows[i])
	}
	if a.json {
		return a.printJSON(views)
	}
	t := newTable(a.stdout, "ID", "NETS", "TLS NAME", "MAY ASSERT IDENTITY")
	for _, v := range views {
		asserts := "no"
		if v.MayAssertIdentity {
			asserts = "yes"
		}
		t.row(strconv.FormatInt(v.ID, 10), strings.Join(v.Nets, " "), v.TLSName, asserts)
	}
	return t.end()
}

func (a *app) removePeer(ctx context.Context, s *session, args []string) error {
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return usage(fmt.Errorf("%q is no number; write the ID that `sipd peer list` shows", args[0]))
	}
	switch err := s.RemoveTrustedPeer(ctx, id); {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("there is no trusted peer %d; `sipd peer list` shows those that are", id)
	case err != nil:
		return err
	}
	return a.say(map[string]int64{"removed": id}, "removed trusted peer %d", id)
}
