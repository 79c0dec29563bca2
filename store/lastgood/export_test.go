package lastgood

import "encoding/binary"

// Seal gives the blocks of data right checksums, so that fuzzing reaches what stands behind them.
func Seal(data []byte) []byte {
	out := append([]byte(nil), data...)
	if len(out) < len(title) {
		return out
	}
	copy(out, title)
	rest := out[len(title):]
	for number := uint32(0); len(rest) >= blockHead; number++ {
		n := min(int(binary.LittleEndian.Uint32(rest)%maxBlock), len(rest)-blockHead)
		binary.LittleEndian.PutUint32(rest, uint32(n))
		binary.LittleEndian.PutUint32(rest[4:], checksum(number, rest[blockHead:blockHead+n]))
		rest = rest[blockHead+n:]
	}
	return out
}
