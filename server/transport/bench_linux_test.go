package transport

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// loadVariable makes the test program a load generator for BenchmarkRelay: another process, so that the processor time of
// this one is the relay's alone.
const loadVariable = "SIPD_TRANSPORT_LOAD"

// generateLoad sends datagrams to a relay at a steady rate and takes what comes back. It prints how many did.
func generateLoad(spec string) error {
	var target string
	var rate, count int
	if _, err := fmt.Sscanf(spec, "%s %d %d", &target, &rate, &count); err != nil {
		return err
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(target)))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetReadBuffer(4 << 20)
	done := make(chan int)
	go func() {
		buf := make([]byte, 2048)
		got := 0
		for got < count {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(buf); err != nil {
				break
			}
			got++
		}
		done <- got
	}()
	msg := bytes.Repeat([]byte("x"), 600)
	begin := time.Now()
	for i := range count {
		at := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if d := time.Until(at); d > 20*time.Microsecond {
			ts := unix.NsecToTimespec(d.Nanoseconds())
			_ = unix.Nanosleep(&ts, nil)
		}
		if _, err := c.Write(msg); err != nil {
			return err
		}
	}
	fmt.Println(<-done)
	return nil
}

func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRelay measures the processor time of relaying one datagram, at steady rates. Compare with the table in
// docs/performance.md.
func BenchmarkRelay(b *testing.B) {
	for _, portable := range []bool{false, true} {
		for _, rate := range []int{2000, 7000, 14000} {
			name := fmt.Sprintf("%s/%dpps", map[bool]string{false: "raw", true: "portable"}[portable], rate)
			b.Run(name, func(b *testing.B) {
				r := &relay{}
				s := start(b, Config{Listen: listeners("udp:127.0.0.1:0"), portable: portable}, r)
				count := max(b.N, rate/10)
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", loadVariable, s.Addrs()[0].Addr, rate, count))
				cmd.Stderr = os.Stderr
				before := processorTime()
				b.ReportAllocs()
				b.ResetTimer()
				out, err := cmd.Output()
				b.StopTimer()
				used := processorTime() - before
				if err != nil {
					b.Fatal(err)
				}
				var back int
				if _, err := fmt.Sscan(string(out), &back); err != nil || back < count*9/10 {
					b.Fatalf("got %d of %d datagrams back: %v", back, count, err)
				}
				b.ReportMetric(float64(used.Nanoseconds())/1000/float64(count), "cpu-us/packet")
			})
		}
	}
}

// BenchmarkEcho is a ping-pong within one process, for allocations and for profiles.
func BenchmarkEcho(b *testing.B) {
	for _, portable := range []bool{false, true} {
		for _, listen := range []string{"udp:127.0.0.1:0", "udp:0.0.0.0:0"} {
			b.Run(fmt.Sprintf("portable=%v/%s", portable, listen), func(b *testing.B) {
				s := start(b, Config{Listen: listeners(listen), portable: portable}, &relay{})
				to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addrs()[0].Addr.Port())
				c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				msg := bytes.Repeat([]byte("x"), 600)
				buf := make([]byte, 2048)
				const window = 16
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; i += window {
					for range window {
						if _, err := c.Write(msg); err != nil {
							b.Fatal(err)
						}
					}
					for range window {
						if _, err := c.Read(buf); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
