package provision

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"strings"
)

// alphabet leaves out what people mistake for something else when they type it into a phone: 0 O 1 l I.
const alphabet = "abcdefghijkmnpqrstuvwxyz23456789"

// RandomPassword returns 80 random bits in four groups that people can read out to each other: "k7pm-xw3r-9dfa-tz4h".
func RandomPassword() string {
	var random [16]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(alphabet[int(r)%len(alphabet)]) // 32 letters divide 256: no bias
	}
	return b.String()
}

// ReadPassword reads a line: a password that shall not stand among the arguments, where everybody on the machine reads it.
func ReadPassword(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 4*maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errors.New("-p - found no password on standard input; write it there on one line")
	}
	return line, nil
}
