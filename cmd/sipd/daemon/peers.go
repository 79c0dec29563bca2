package daemon

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"sipd/config"
	"sipd/locator"
	"sipd/resolve"
	"sipd/server/certs"
	"sipd/server/proxy"
)

// maxDownHops is how many hops the status lists: a page that a person reads.
const maxDownHops = 100

// downHop is a next hop that has failed lately.
type downHop struct {
	Hop    string    `json:"hop"` // "udp:192.0.2.1:5060"
	Domain string    `json:"domain"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"` // it is passed over until then when there is another
}

func downHops(list []proxy.Down) []downHop {
	hops := []downHop{}
	for _, d := range list[:min(len(list), maxDownHops)] {
		hops = append(hops, downHop{d.Hop.Proto.Param() + ":" + d.Hop.Remote.String(), d.Domain, d.Reason, d.Since.UTC(), d.Until.UTC()})
	}
	return hops
}

// resolverState is package resolve in numbers.
type resolverState struct {
	Servers      []nameServer `json:"servers"`
	LookUps      int          `json:"look_ups"`      // under way
	Queued       int          `json:"queued"`        // look-ups that wait for their turn
	Waiting      int          `json:"waiting"`       // calls that wait for both
	Refused      uint64       `json:"refused"`       // calls for which there was no room: 500 with Retry-After
	CacheEntries int          `json:"cache_entries"` // names and what is known not to exist
	CacheBytes   int          `json:"cache_bytes"`
}

// nameServer is one of those that are asked.
type nameServer struct {
	Addr     netip.AddrPort `json:"addr"`
	Answered uint64         `json:"answered"`
	Failed   uint64         `json:"failed"`
	Silent   bool           `json:"silent"` // it gave no answer lately and is asked after the others
	LastErr  string         `json:"last_err,omitempty"`
	At       *time.Time     `json:"last_err_at,omitempty"`
}

func resolverStateOf(st resolve.Status) resolverState {
	v := resolverState{Servers: []nameServer{}, LookUps: st.LookUps, Queued: st.Queued, Waiting: st.Waiting, Refused: st.Refused,
		CacheEntries: st.Entries, CacheBytes: st.Bytes}
	for _, s := range st.Servers {
		n := nameServer{Addr: s.Addr, Answered: s.Answered, Failed: s.Failed, Silent: s.Silent}
		if s.Err != nil {
			at := s.At.UTC()
			n.LastErr, n.At = s.Err.Error(), &at
		}
		v.Servers = append(v.Servers, n)
	}
	return v
}

// locatorState is who is asked where users are.
type locatorState struct {
	Locator      string     `json:"locator"` // the setting
	Answered     uint64     `json:"answered"`
	Failed       uint64     `json:"failed"` // calls went on as if nobody knew
	Down         bool       `json:"down"`   // it keeps failing and is left alone for a while
	LastErr      string     `json:"last_err,omitempty"`
	At           *time.Time `json:"last_err_at,omitempty"`
	Running      int        `json:"running"` // questions
	Queued       int        `json:"queued"`
	Waiting      int        `json:"waiting"` // calls that wait for both
	Refused      uint64     `json:"refused"` // calls for which there was no room; they went on likewise
	CacheEntries int        `json:"cache_entries"`
	CacheBytes   int        `json:"cache_bytes"`
}

func locatorStateOf(setting string, st locator.Status) *locatorState {
	v := &locatorState{Locator: config.MaskURL(setting), Answered: st.Answered, Failed: st.Failed, Down: st.Down, Running: st.Running, Queued: st.Queued,
		Waiting: st.Waiting, Refused: st.Refused, CacheEntries: st.Entries, CacheBytes: st.Bytes}
	if st.Err != nil {
		at := st.At.UTC()
		v.LastErr, v.At = st.Err.Error(), &at
	}
	return v
}

// certificateState is the server's certificate.
type certificateState struct {
	Names    []string   `json:"names"` // the domains it speaks for
	NotAfter time.Time  `json:"not_after"`
	DaysLeft float64    `json:"days_left"`            // below 0: it has ended
	Begins   *time.Time `json:"not_before,omitempty"` // none: it has begun
	Err      string     `json:"err,omitempty"`        // why the files there now are not in force
	Since    *time.Time `json:"err_since,omitempty"`
}

func certificateStateOf(st certs.Status) *certificateState {
	v := &certificateState{Names: append([]string{}, st.Names...), NotAfter: st.NotAfter.UTC(), DaysLeft: math.Floor(st.DaysLeft*10) / 10}
	if st.Early {
		at := st.NotBefore.UTC()
		v.Begins = &at
	}
	if st.Err != nil {
		at := st.Since.UTC()
		v.Err, v.Since = st.Err.Error(), &at
	}
	return v
}

// peerReasons says what is wrong with names and certificates, of which a server without other domains need not care.
func peerReasons(names resolve.Status, certificate *certificateState) (list []string) {
	down := 0
	for _, s := range names.Servers {
		if s.Down {
			down++
		}
	}
	if down > 0 && down == len(names.Servers) {
		list = append(list, "no name server answers: other domains are reached from memory, or not")
	}
	if certificate == nil {
		return list
	}
	if certificate.DaysLeft < 0 {
		list = append(list, "the certificate of "+strings.Join(certificate.Names, ", ")+" has ended: peers refuse it")
	} else if certificate.Begins != nil {
		list = append(list, "the certificate of "+strings.Join(certificate.Names, ", ")+" is valid from "+certificate.Begins.Format(time.RFC3339)+
			" on: peers refuse it; look at this machine's clock")
	} else if left := time.Duration(certificate.DaysLeft * 24 * float64(time.Hour)); left <= certs.WarnBefore {
		list = append(list, fmt.Sprintf("the certificate of %s ends in %.1f days", strings.Join(certificate.Names, ", "), certificate.DaysLeft))
	}
	if certificate.Err != "" {
		list = append(list, "the certificate is not renewed: "+certificate.Err)
	}
	return list
}
