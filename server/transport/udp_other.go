//go:build !linux

package transport

import "net/netip"

// rawUDP: other systems are served by package net.
const rawUDP = false

// sendBatch is used on Linux only.
type sendBatch struct{}

func (s *Sockets) serveRaw(u *udpSocket, lane int) { s.servePortable(u, lane) }

func (sd *sender) sendRaw(o *Out, u *udpSocket, packets []Packet) { sd.sendPortable(o, u, packets) }

// Without packet information a datagram leaves from the address that the routing table chooses.
func packetInfo([]byte) netip.Addr { return netip.Addr{} }

func appendPacketInfo(b []byte, _, _ netip.Addr) []byte { return b }
