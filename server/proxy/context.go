package proxy

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sipd/server/calltrace"
	"sipd/server/gateway"
	"sipd/server/message"
	"sipd/server/proxy/health"
	"sipd/server/proxy/hop"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/server/trust"
)

// Config is what a Proxy needs.
type Config struct {
	Net transport.Network
	// Name is the host for Via and Record-Route, a name or an address, "" for the address of the side the next hop is on.
	Name string
	// Opens tells whether somebody at src may lead us to a loopback or link-local address that is out of his reach; nil: nobody may.
	Opens func(to netip.AddrPort, src netip.Addr) bool
	// Finished is told, under the shard's lock, the final response of every response context, once; its pointers are valid during
	// the call. Nil: nobody asks.
	Finished func(s *transaction.Shard, f Finished)
	// MaxOpen bounds the requests without a final response; 0 takes 65,536. A call that rings weighs some 10 KB.
	MaxOpen int
	// Stateless: ForwardStateless and ForwardResponse are used (TryStateless).
	Stateless bool
	// Resolver looks up next hops that are names; nil: there are none.
	Resolver Resolver
	// InShard runs f in the shard of a Call-ID and sends what f queued. It is called outside of any shard. Needed with Resolver.
	InShard func(callID []byte, f func(s *transaction.Shard))
	// Domains are the names behind transport.Flow.Domain. Needed with Resolver.
	Domains *transport.Domains
	// Gateway tells whether an address is a gateway's: there nothing leads but the administrator's tables and dialogs with it. exact: its
	// port is a gateway's, too. Nil: none is.
	Gateway func(to netip.AddrPort, exact bool) bool
	// Gateways are told what becomes of requests to gateways; nil: nobody asks.
	Gateways *gateway.Table
	// Trust tells how far the far end of a flow is trusted with asserted identities (RFC 3325); nil: nobody is.
	Trust func(flow transport.Flow) trust.Level
	// Calls is told what becomes of the copies of a request; nil: nobody asks.
	Calls *calltrace.Ring
	Log   *slog.Logger
}

// defaultMaxOpen is far more than ring at once on a campus, and less than a gigabyte when strangers let phones ring.
const defaultMaxOpen = 1 << 16

// Finished describes how a proxied request ended.
type Finished struct {
	Request *message.Message
	Status  int
	NextHop transport.Flow // of the branch whose response went upstream, zero if none
	Class   string         // the gateway class of its target
	Tag     []byte         // To tag of the response, may be empty
	Took    time.Duration
	User    any // what Forward was given
}

// Proxy forwards requests. It holds no call: response contexts hang off their transactions.
type Proxy struct {
	net        transport.Network
	name       []byte
	opens      func(to netip.AddrPort, src netip.Addr) bool
	seed       maphash.Seed
	finished   func(s *transaction.Shard, f Finished)
	log        *slog.Logger
	contexts   sync.Pool // *Context
	afterlives sync.Pool // *afterlife
	scratch    sync.Pool // *scratch
	open       atomic.Int64
	maxOpen    int64
	stateless  bool
	resolver   Resolver
	inShard    func(callID []byte, f func(s *transaction.Shard))
	domains    *transport.Domains
	trust      func(flow transport.Flow) trust.Level
	gateway    func(to netip.AddrPort, exact bool) bool
	gateways   *gateway.Table
	health     *health.Table
	calls      *calltrace.Ring

	contextsHeld, afterlivesHeld atomic.Int64 // taken from their pools and not given back
}

// New makes a proxy.
func New(cfg Config) *Proxy {
	if cfg.MaxOpen <= 0 {
		cfg.MaxOpen = defaultMaxOpen
	}
	return &Proxy{
		maxOpen: int64(cfg.MaxOpen), stateless: cfg.Stateless,
		resolver: cfg.Resolver, inShard: cfg.InShard, domains: cfg.Domains, trust: cfg.Trust, gateway: cfg.Gateway, gateways: cfg.Gateways, health: health.New(hopTimeout),
		calls: cfg.Calls, net: cfg.Net, name: []byte(cfg.Name), opens: cfg.Opens, seed: maphash.MakeSeed(), finished: cfg.Finished, log: cfg.Log,
		contexts:   sync.Pool{New: func() any { return &Context{} }},
		afterlives: sync.Pool{New: func() any { return &afterlife{} }},
		scratch:    sync.Pool{New: func() any { return &scratch{} }},
	}
}

// Open returns the response contexts that have not sent a final response yet.
func (p *Proxy) Open() int { return int(p.open.Load()) }

// Held returns the response contexts, and what is left of those that were answered 2xx, that transactions still need: gauges for tests
// that look for leaks.
func (p *Proxy) Held() (contexts, afterlives int) {
	return int(p.contextsHeld.Load()), int(p.afterlivesHeld.Load())
}

// Down is a next hop that has failed lately.
type Down = health.Down

// Down returns the next hops that have failed lately and are passed over.
func (p *Proxy) Down(now time.Time) []Down { return p.health.List(now) }

// Report logs which next hops go down and which are back, until ctx ends.
func (p *Proxy) Report(ctx context.Context) { p.health.Report(ctx, p.log) }

// scratch is what writing one message needs.
type scratch struct {
	splice  message.Splice
	buf     []byte // the message
	via     []byte
	token   []byte
	rr      []byte
	rrBelow []byte
	uri     []byte
	route   []byte
	index   message.Message
	mac     []byte

	// What writing the copy of a request needs that has no response context (16.11).
	context Context
	branch  branch
	tx      transaction.Server
}

// Settings are the administrator's choices for one request.
type Settings struct {
	RecordRoute     bool
	CancelOnTimeout bool          // ForkOnTimeout cancel: a group that rang too long is cancelled when the next starts
	TimeOut         time.Duration // how long a group may ring before the next starts
	Secret          *[32]byte     // of Record-Route tokens
	Realm           string        // whose Proxy-Authorization ends here, "" for none
	Trunk           bool          // the request comes from a gateway
	HelpResolve     bool          // contacts of a 302 are numeric addresses
	Disposition     target.Disposition
}

// Context is a response context (RFC 3261 16.2): a server transaction, its target set and its branches. Its shard's lock
// guards it.
type Context struct {
	p         *Proxy
	tx        *transaction.Server // nil after it ended
	user      any
	set       Settings
	route     Route // its URI and slices point into tx.Request
	method    message.Method
	targets   []target.Target // those not started begin at next
	next      int
	redirect  []target.Target // contacts for a 302 when all else failed
	recursion Recurse
	further   Next
	waiting   target.Waiting // whose forwards further knows
	patience  transaction.Timer
	branches  []*branch // started ones, in order; their structs are kept for the next call
	n         int       // branches[:n] are in use
	trying    int       // branches without a final response
	live      int       // branches whose client transaction is alive
	group     transaction.Timer
	best      best
	loop      uint64
	breadth   int // Max-Breadth not handed out yet (RFC 5393 5.3.3)
	started   time.Time
	from      transport.Flow // the way the request came
	asserted  trust.Asserted // who sent it
	call      calltrace.Ref

	starting  bool // a group is being started
	short     bool // the last group is not all out: it waits for breadth
	cancelled bool // the caller sent CANCEL
	stopped   bool // no new branches: a 2xx, a 6xx or CANCEL came
	answered  bool // a final response went upstream
	busy      bool // a name was not looked up because too many wait
}

// Plan is what is to be done with a request.
type Plan struct {
	Route    *Route          // what Preprocess made of it
	Targets  []target.Target // in their groups
	Redirect []target.Target // contacts for a 302 when everything failed without a 6xx
	Settings Settings
	Asserted trust.Asserted // Believed is found out
	Recurse  Recurse        // asked about each 3xx; nil: a 3xx is a failure like others (16.7 step 4)
	Next     Next           // asked when everything has failed; nil: nobody is forwarded to
	Waiting  target.Waiting // what Next is asked about
	User     any            // comes back in Finished
	Call     calltrace.Ref  // what Config.Calls knows the request by

	Transaction *transaction.Server // of the request, when it has one already
	Began       time.Time           // with Transaction: when the request came
}

// Forward makes the server transaction of m, which came from from, and starts its response context. The 100 to an INVITE is
// the transaction's, when nothing else has gone upstream after 200 ms (17.2.1). False: there is no room for more, nothing
// was done.
func (p *Proxy) Forward(s *transaction.Shard, m *message.Message, from transport.Flow, plan *Plan) bool {
	if p.open.Load() >= p.maxOpen {
		return false
	}
	c := p.contexts.Get().(*Context)
	tx := plan.Transaction
	if tx != nil {
		tx.SetUser(c)
	} else if tx = s.NewServer(m, from, c); tx == nil {
		p.contexts.Put(c)
		return false
	}
	c.p, c.tx, c.user, c.set, c.method = p, tx, plan.User, plan.Settings, m.Method()
	c.route = *plan.Route
	c.route.rebase(tx.Request)
	c.targets = append(c.targets[:0], plan.Targets...)
	c.redirect = append(c.redirect[:0], plan.Redirect...)
	c.recursion, c.further, c.waiting, c.call = plan.Recurse, plan.Next, plan.Waiting, plan.Call
	c.next, c.n, c.trying, c.live, c.breadth = 0, 0, 0, 0, hop.Breadth(m)
	c.starting, c.short, c.cancelled, c.stopped, c.answered, c.busy = false, false, false, false, false, false
	c.loop = p.loopHash(m)
	c.started = s.Now()
	if tx == plan.Transaction {
		c.started = plan.Began
	}
	c.from = from
	c.from.Local = p.listener(from)
	c.asserted.Value = append(c.asserted.Value[:0], plan.Asserted.Value...)
	p.believe(&c.asserted, m, from)
	if c.group.Fire == nil {
		c.group.Fire, c.patience.Fire = c.groupTimeout, c.noAnswer
	}
	p.contextsHeld.Add(1)
	p.open.Add(1)
	done := false
	defer func() {
		if !done { // A panic: an INVITE without a final response would wait for one without end.
			c.abort(s, 500)
		}
	}()
	p.hangUp(m, plan.Route)
	c.numeric(c.redirect)
	c.startGroup(s)
	c.waitForAnswer(s)
	c.settle(s)
	done = true
	return true
}

// listener returns the own address and port by which the far end of flow reaches us: a connection that we opened has a port
// that nobody listens on.
func (p *Proxy) listener(flow transport.Flow) netip.AddrPort {
	if flow.Proto.Reliable() && !p.net.Own(flow.Local) {
		if src, ok := p.net.Source(flow.Proto, flow.Remote.Addr()); ok {
			return src
		}
	}
	return flow.Local
}

// invite tells whether this is a call being set up: only INVITE has Timer C, CANCEL and a waiting time per group.
func (c *Context) invite() bool { return c.method == message.INVITE }

// Ended is transaction.ServerUser: the server transaction is over.
func (c *Context) Ended(s *transaction.Shard, tx *transaction.Server) {
	if !c.answered { // RFC 4320 4.2: a non-INVITE that nobody answered ends without a response.
		c.finish(s, 408, transport.Flow{}, nil)
	}
	c.stop(s, nil)
	c.tx = nil
	c.recycle(s)
}

// finish tells once how the request ended; the caller has sent or suppressed the response.
func (c *Context) finish(s *transaction.Shard, status int, hop transport.Flow, tag []byte) {
	if c.answered {
		return
	}
	c.answered = true
	c.hungUp(status)
	c.p.open.Add(-1)
	c.p.calls.Final(c.call, s.Now(), status)
	if c.p.finished != nil && c.tx != nil {
		c.p.finished(s, Finished{
			Request: c.tx.Request, Status: status, NextHop: hop, Class: c.best.class, Tag: tag, Took: s.Now().Sub(c.started), User: c.user,
		})
	}
}

// recycle gives the context back when neither the server transaction nor a branch needs it. Nobody may touch it afterwards.
func (c *Context) recycle(s *transaction.Shard) {
	if c.tx != nil || c.live > 0 {
		return
	}
	s.Disarm(&c.group)
	s.Disarm(&c.patience)
	c.best.reset()
	clear(c.targets)
	clear(c.redirect)
	c.user, c.route, c.recursion, c.further, c.waiting = nil, Route{}, nil, nil, target.Waiting{}
	for _, b := range c.branches[:c.n] {
		s.Disarm(&b.timerC)
		s.Disarm(&b.silence)
		b.reset()
	}
	p := c.p
	c.p = nil
	p.contextsHeld.Add(-1)
	p.contexts.Put(c)
}

// retire ends the context when the search is over and answered: its transactions live on for up to half a minute to absorb
// retransmissions, and need nothing of it for that. After a 2xx to an INVITE an afterlife stays behind. It is the last thing
// that may be done with a context.
func (c *Context) retire(s *transaction.Shard) {
	if !c.answered || c.trying > 0 || c.tx == nil || c.tx.Status() < 200 { // Below 200 a 100 may still be due (RFC 4320 4.1).
		return
	}
	c.tx.ReleaseRequest()
	var after *afterlife
	if c.invite() && c.tx.Status() < 300 {
		after = c.p.afterlives.Get().(*afterlife)
		c.p.afterlivesHeld.Add(1)
		*after = afterlife{p: c.p, tx: c.tx}
		c.tx.SetUser(after)
	} else {
		c.tx.SetUser(nil)
	}
	c.tx = nil
	for _, b := range c.branches[:c.n] {
		b.hunt.leg.End()
		if b.client == nil {
			continue
		}
		if (b.succeeded || b.late) && after != nil {
			b.client.SetUser(lateBranch{after})
			after.live++
		} else {
			b.client.SetUser(nil)
		}
		b.client = nil
		c.live--
	}
	c.recycle(s)
}
