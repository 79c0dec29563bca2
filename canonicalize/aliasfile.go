package canonicalize

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

const (
	// maxAliases is how many names an alias file or a list of full names may have: a large university's.
	maxAliases = 1 << 20
	// maxMembers is how many addresses an alias may stand for; lists of mail are longer, but nobody rings them.
	maxMembers = 64
	// maxAliasLine bounds a line of the file, with its continuations.
	maxAliasLine = 64 << 10
)

// Names leads from names to the addresses they stand for: logins, or user@host. Its zero value has none.
type Names struct {
	to map[string][]string
}

// Len tells how many names there are.
func (n *Names) Len() int { return len(n.to) }

// Find returns what a user part stands for, nil for none; it is valid as long as n. user is compared in lower case.
func (n *Names) Find(user []byte) []string {
	var buf [128]byte
	if len(user) > len(buf) {
		return nil
	}
	for i, c := range user {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return n.to[string(buf[:len(user)])]
}

// ReadAliases reads a file of mail aliases as sendmail and its successors have it: "name: address, address", continued by lines that begin
// with a blank, # before comments. Addresses that are programs, files or lists in files ring nowhere and are left out, with a
// note each.
func ReadAliases(r io.Reader) (n *Names, notes []string, err error) {
	n = &Names{to: map[string][]string{}}
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxAliasLine)
	name, at := "", 0
	for in.Scan() {
		at++
		line := in.Text()
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' {
			continue
		}
		list := line
		if line[0] != ' ' && line[0] != '\t' {
			var found bool
			if name, list, found = strings.Cut(line, ":"); !found {
				return nil, nil, fmt.Errorf("line %d: no colon: an alias is written name: address", at)
			}
			name = strings.ToLower(strings.Trim(strings.TrimSpace(name), `"`))
			if name == "" {
				return nil, nil, fmt.Errorf("line %d: no name before the colon", at)
			}
		} else if name == "" {
			return nil, nil, fmt.Errorf("line %d: it continues no alias: begin it without a blank", at)
		}
		for _, to := range strings.Split(list, ",") {
			switch to = strings.Trim(strings.TrimSpace(to), `"`); {
			case to == "":
			case to[0] == '|' || to[0] == '/' || to[0] == ':' || to[0] == '\\':
				notes = append(notes, fmt.Sprintf("line %d: %s: %s is no address: left out", at, name, to))
			case len(n.to[name]) == maxMembers:
				return nil, nil, fmt.Errorf("line %d: %s stands for more than %d addresses", at, name, maxMembers)
			default:
				n.to[name] = append(n.to[name], strings.ToLower(to))
			}
		}
		if len(n.to) > maxAliases {
			return nil, nil, fmt.Errorf("line %d: more than %d aliases", at, maxAliases)
		}
	}
	if err := in.Err(); err != nil {
		return nil, nil, fmt.Errorf("line %d: %w", at+1, err)
	}
	return n, notes, nil
}

// ReadFullNames reads a passwd file: each user's full name (the fifth field, up to its first comma; & is the login) leads to his login,
// written with . _ or nothing where blanks are: Alice.Liddell, alice_liddell and aliceliddell are alice. A name of several users
// leads to them all.
func ReadFullNames(r io.Reader) (*Names, error) {
	n := &Names{to: map[string][]string{}}
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxAliasLine)
	at := 0
	for in.Scan() {
		at++
		fields := strings.Split(in.Text(), ":")
		if in.Text() == "" || in.Text()[0] == '#' {
			continue
		}
		if len(fields) < 7 {
			return nil, fmt.Errorf("line %d: %d fields; a line of passwd has seven", at, len(fields))
		}
		login := fields[0]
		full, _, _ := strings.Cut(fields[4], ",")
		full = strings.ReplaceAll(full, "&", login)
		words := strings.Fields(strings.ToLower(full))
		if login == "" || len(words) < 2 {
			continue // A name of one word is as good as a login.
		}
		for _, between := range []string{".", "_", "", " "} {
			name := strings.Join(words, between)
			if len(n.to[name]) == maxMembers {
				return nil, fmt.Errorf("line %d: more than %d users are called %s", at, maxMembers, full)
			}
			n.to[name] = append(n.to[name], login)
		}
		if len(n.to) > 4*maxAliases {
			return nil, fmt.Errorf("line %d: more than %d names", at, maxAliases)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", at+1, err)
	}
	return n, nil
}
