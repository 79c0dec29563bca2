package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"sipd/resolve"
	"sipd/server/gateway"
	"sipd/server/message"
	"sipd/server/proxy/hop"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/sipaddr"
	"sipd/store/cache"
)

// Gateways returns what is known of the gateways.
func (s *Server) Gateways() *gateway.Table { return s.gateways }

// Follow takes the gateways over from new tables. What is known of those that stay stays.
func (s *Server) Follow(t *cache.Snapshot) {
	s.gateways.Configure(GatewayConfigs(t), time.Now())
	s.fence.next.Store(0)
	s.seekGateways(t.Plan().Fence()) // Ahead of the first call.
}

// GatewayConfigs are the gateways of the tables.
func GatewayConfigs(t *cache.Snapshot) (list []gateway.Config) {
	for _, g := range t.Plan().Gateways() {
		if r := &g.Row; r.Enabled {
			list = append(list, gateway.Config{ID: r.ID, Name: r.Name, URI: r.URI, Weight: r.Weight, MaxCalls: r.MaxCalls,
				Probe: time.Duration(r.ProbeSeconds) * time.Second, Drained: r.Drained})
		}
	}
	return list
}

// maxProbed bounds the next hops of one gateway that get a probe: it has a few machines.
const maxProbed = 4

// Probe is gateway.Sender. Each next hop of the URI gets OPTIONS (RFC 3261 11.1): a gateway lives if one of its machines does.
func (s *Server) Probe(uri string, done func(latency time.Duration, err error)) {
	defer func() {
		if fault := recover(); fault != nil {
			s.panicked("a probe", fault, "uri", uri)
		}
	}()
	u, err := sipaddr.Parse([]byte(uri))
	if err != nil {
		done(0, err)
		return
	}
	q, ok := hop.Query(&u)
	switch {
	case !ok:
		done(0, errors.New("the URI leads nowhere"))
		return
	case s.resolver == nil:
		done(0, gateway.ErrNotSent)
		return
	}
	hops, err, ready := s.resolver.Hops(q, func(hops []resolve.Hop, err error) { s.probe(uri, q, hops, err, done) })
	if ready {
		s.probe(uri, q, hops, err, done)
	}
}

// probe sends OPTIONS to hops, which were found for q, or could not be.
func (s *Server) probe(uri string, q resolve.Query, hops []resolve.Hop, err error, done func(time.Duration, error)) {
	if err != nil {
		if errors.Is(err, resolve.ErrBusy) {
			err = gateway.ErrNotSent
		}
		done(0, err)
		return
	}
	p := &probe{done: done, failed: gateway.ErrNotSent}
	callID := rand.Text()
	s.inShard([]byte(callID), func(sh *transaction.Shard) {
		for _, h := range hops[:min(len(hops), maxProbed)] {
			flow, err := s.probeFlow(q, h)
			if err != nil {
				p.failed = err
				continue
			}
			client := sh.NewClient(p)
			if client == nil {
				continue
			}
			p.left++
			if p.sent.IsZero() {
				p.sent = sh.Now()
			}
			sh.Start(client, flow, s.appendOptions(nil, uri, callID, flow, client))
		}
		if p.left == 0 {
			done(0, p.failed)
		}
	})
}

// probeFlow is how a hop that was found for q is reached.
func (s *Server) probeFlow(q resolve.Query, h resolve.Hop) (flow transport.Flow, err error) {
	flow.Remote = h.Addr
	if s.net.Own(h.Addr) {
		return flow, fmt.Errorf("%v is this server itself", h.Addr)
	}
	var ok bool
	switch h.Transport {
	case resolve.TCP:
		flow.Proto = transport.TCP
	case resolve.TLS:
		flow.Proto = transport.TLS
		if flow.Domain, ok = s.domains.Number(q.Host); !ok { // RFC 5922 7.3: the domain that was asked for, not what DNS made of it.
			return flow, gateway.ErrNotSent
		}
	}
	if flow.Local, ok = s.net.Source(flow.Proto, flow.Remote.Addr()); !ok {
		return flow, transport.ErrNoListener
	}
	return flow, nil
}

// appendOptions writes an OPTIONS of our own (RFC 3261 11.1, 8.1.1). It has no Contact: it begins no dialog.
func (s *Server) appendOptions(dst []byte, uri, callID string, flow transport.Flow, client *transaction.Client) []byte {
	dst = append(append(append(dst, "OPTIONS "...), uri...), " SIP/2.0\r\nVia: "...)
	dst = message.AppendVia(dst, flow.Proto.String(), s.appendHost(nil, flow.Local), client.AppendBranch(nil, 0), false)
	if flow.Domain != 0 {
		dst = append(dst, ";alias"...) // RFC 5923 8.1
	}
	dst = append(dst, "\r\nMax-Forwards: 70\r\nFrom: <sip:"...)
	dst = s.appendHost(dst, flow.Local)
	dst = append(append(dst, ">;tag="...), rand.Text()...)
	dst = append(append(append(dst, "\r\nTo: <"...), uri...), ">\r\nCall-ID: "...)
	dst = append(dst, callID...)
	return append(dst, "\r\nCSeq: 1 OPTIONS\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n"...)
}

// appendHost writes our host and port as the receiver of what leaves from local reaches us.
func (s *Server) appendHost(dst []byte, local netip.AddrPort) []byte {
	if s.name == "" {
		return local.AppendTo(dst)
	}
	if a, err := netip.ParseAddr(s.name); err == nil {
		return netip.AddrPortFrom(a, local.Port()).AppendTo(dst)
	}
	return strconv.AppendUint(append(append(dst, s.name...), ':'), uint64(local.Port()), 10)
}

// probe is the OPTIONS to one gateway: the transaction.ClientUser of all of them. They have one Call-ID, so that they are in one shard, whose
// lock guards it.
type probe struct {
	done   func(latency time.Duration, err error) // nil: it has been told
	left   int                                    // transactions that may bring an answer
	sent   time.Time
	failed error // of the last that failed
}

// Response is transaction.ClientUser. Any answer shows life, a 404 or 405 too.
func (p *probe) Response(s *transaction.Shard, _ *transaction.Client, _ *message.Message) {
	p.tell(max(s.Now().Sub(p.sent), 1), nil)
}

// Failed is transaction.ClientUser.
func (p *probe) Failed(_ *transaction.Shard, _ *transaction.Client, why transaction.Failure, err error) {
	if err == nil {
		err = errors.New(why.String())
	}
	if p.left--; p.left == 0 {
		p.tell(0, err)
	}
}

// Ended is transaction.ClientUser.
func (p *probe) Ended(*transaction.Shard, *transaction.Client) {}

func (p *probe) tell(latency time.Duration, err error) {
	if done := p.done; done != nil {
		p.done = nil
		done(latency, err)
	}
}
