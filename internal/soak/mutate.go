package soak

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// templates are valid messages that nobody misses. %[1]x is a number, %[2]s the domain, %[3]s the sender's address.
var templates = []string{
	"INVITE sip:m3@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]x;rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@elsewhere.example>;tag=%[1]x\r\nTo: <sip:m3@%[2]s>\r\nCall-ID: mutated-%[1]x\r\nCSeq: 1 INVITE\r\nContact: <sip:x@%[3]s>\r\nContent-Type: application/sdp\r\nContent-Length: 30\r\n\r\nv=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n",
	"MESSAGE sip:m4@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]x;rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@elsewhere.example>;tag=%[1]x\r\nTo: <sip:m4@%[2]s>\r\nCall-ID: mutated-%[1]x\r\nCSeq: 1 MESSAGE\r\nContent-Length: 2\r\n\r\nhi",
	"REGISTER sip:%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]x;rport\r\nMax-Forwards: 70\r\nFrom: <sip:m5@%[2]s>;tag=%[1]x\r\nTo: <sip:m5@%[2]s>\r\nCall-ID: mutated-%[1]x\r\nCSeq: 1 REGISTER\r\nContact: <sip:m5@%[3]s>;expires=60\r\nAuthorization: Digest username=\"m5\", realm=\"%[2]s\", nonce=\"%[1]x\", uri=\"sip:%[2]s\", response=\"00112233445566778899aabbccddeeff\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"1\"\r\nContent-Length: 0\r\n\r\n",
	"BYE sip:m6@%[3]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]x;rport\r\nMax-Forwards: 70\r\nRoute: <sip:%[1]x@%[2]s;lr>\r\nFrom: <sip:x@elsewhere.example>;tag=%[1]x\r\nTo: <sip:m6@%[2]s>;tag=1\r\nCall-ID: mutated-%[1]x\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
	"CANCEL sip:m3@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]x;rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@elsewhere.example>;tag=%[1]x\r\nTo: <sip:m3@%[2]s>\r\nCall-ID: mutated-%[1]x\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
	"ACK sip:m3@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]x;rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@elsewhere.example>;tag=%[1]x\r\nTo: <sip:m3@%[2]s>;tag=2\r\nCall-ID: mutated-%[1]x\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
	"OPTIONS sip:%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]x;rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@elsewhere.example>;tag=%[1]x\r\nTo: <sip:%[2]s>\r\nCall-ID: mutated-%[1]x\r\nCSeq: 1 OPTIONS\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n",
	"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]x\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:x@elsewhere.example>;tag=%[1]x\r\nTo: <sip:m3@%[2]s>;tag=1\r\nCall-ID: mutated-%[1]x\r\nCSeq: 1 INVITE\r\nContact: <sip:m3@%[3]s>\r\nContent-Length: 0\r\n\r\n",
}

// maxChanged is how many bytes of a message are changed at most.
const maxChanged = 8

// nonsense makes a message that is broken in one of the ways that messages break.
func (c *Crowd) nonsense(l *line) string {
	text := fmt.Sprintf(templates[rand.IntN(len(templates))], rand.Uint64(), c.cfg.Domain, l.addr)
	if len(c.cfg.Corpus) > 0 && rand.IntN(4) == 0 {
		text = c.cfg.Corpus[rand.IntN(len(c.cfg.Corpus))]
		if rand.IntN(2) == 0 || text == "" {
			return text
		}
	}
	b := []byte(text)
	switch rand.IntN(8) {
	case 0: // cut off
		return text[:rand.IntN(len(text))]
	case 1: // a part twice
		at, end := rand.IntN(len(b)), rand.IntN(len(b))
		return text[:max(at, end)] + text[min(at, end):]
	case 2: // a line too long, too many lines, or all too large
		name, value, _ := strings.Cut(text, "\r\n")
		line := "X-Filling: " + strings.Repeat("x", rand.IntN(60_000)) + "\r\n"
		if rand.IntN(2) == 0 {
			line = strings.Repeat("X-A: b\r\n", rand.IntN(3000))
		}
		return name + "\r\n" + line + value
	case 3: // lines in another order
		lines := strings.SplitAfter(text, "\r\n")
		rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		return strings.Join(lines, "")
	case 4: // numbers out of range
		return strings.NewReplacer("CSeq: 1", "CSeq: 99999999999", "Content-Length: ", "Content-Length: -", "Max-Forwards: 70", "Max-Forwards: 256", "expires=60", "expires=-1").Replace(text)
	default: // bytes flipped
		for range 1 + rand.IntN(maxChanged) {
			b[rand.IntN(len(b))] ^= byte(1 + rand.IntN(255))
		}
	}
	return string(b)
}

// mutate sends one broken datagram. Nobody waits for an answer.
func (c *Crowd) mutate() {
	l := c.mutators[rand.IntN(len(c.mutators))]
	if text := c.nonsense(l); len(text) <= maxMessage-100 {
		c.nonsens.Add(1)
		l.write(text)
	}
}

// brokenStays is how long a connection with nonsense stays at most when the server does not close it.
const brokenStays = 2 * time.Second

// mutateStream opens a connection, sends broken messages, and goes: at once, in the middle, or after a while.
func (c *Crowd) mutateStream() {
	l, err := openTCP(c.cfg.Server, nil)
	if err != nil {
		return
	}
	defer l.end()
	for range rand.IntN(4) {
		c.nonsens.Add(1)
		l.write(c.nonsense(l))
	}
	time.Sleep(rand.N(brokenStays))
}
