package test

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// client is a SIP client of the simplest kind: one request at a time over UDP.
type client struct {
	conn *net.UDPConn
	n    int // branches used
}

// dialClient opens a client's socket towards a server.
func dialClient(server netip.AddrPort) (*client, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, err
	}
	return &client{conn: conn}, nil
}

// request is what a client asks.
type request struct {
	method, uri, aor, callID string
	cseq                     int
	headers                  string // more header lines, each with its CRLF
}

// do sends a request and returns the status and the whole of the final response; it sends again as RFC 3261 17.1.2.2 says. Status 0: none came in time.
func (c *client) do(q request, limit time.Duration) (status int, text string) {
	c.n++
	local := c.conn.LocalAddr()
	branch := fmt.Sprintf("z9hG4bK-%s-%d", strings.ReplaceAll(q.callID, "@", "-"), c.n)
	m := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %v;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s>;tag=c\r\nTo: <sip:%s>\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%sContent-Length: 0\r\n\r\n",
		q.method, q.uri, local, branch, q.aor, q.aor, q.callID, q.cseq, q.method, q.headers)
	end := time.Now().Add(limit)
	buf := make([]byte, 65536)
	for wait := 500 * time.Millisecond; ; wait = min(2*wait, 4*time.Second) {
		c.conn.Write([]byte(m)) // A server that is down refuses: the next try, or the limit, tells.
		until := time.Now().Add(wait)
		if until.After(end) {
			until = end
		}
		for {
			c.conn.SetReadDeadline(until)
			n, err := c.conn.Read(buf)
			if err != nil {
				if time.Now().After(end) {
					return 0, ""
				}
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					break
				}
				time.Sleep(2 * time.Millisecond) // Refused.
				break
			}
			text = string(buf[:n])
			fields := strings.SplitN(text, " ", 3)
			if len(fields) < 3 || !strings.Contains(text, branch) {
				continue
			}
			if status, _ = strconv.Atoi(fields[1]); status >= 200 {
				return status, text
			}
		}
	}
}
