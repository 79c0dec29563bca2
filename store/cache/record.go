package cache

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"sipd/sipaddr"
	"sipd/store"
)

// A record is a row of users and its credentials in one text, without pointers:
//
//	id, flags, four lengths | key, realm, display name, email | gateway class, most contacts | credentials
//
// Class and most contacts are there for who has one of them. A realm that is the host of the key takes no room. A credential is a byte that says what it is, its name unless that is the
// key or its user part, its realm unless that is the user's, and the HA1 in binary.
type record string

// Where the fixed fields of a record begin. Numbers are little-endian.
const (
	atID      = 0
	atFlags   = 8
	atLengths = 10
	headSize  = 14
	extraSize = 12 // class and most contacts
)

// The flags: two bits each for policy and action, then one for each of these.
const (
	shiftAction = 2
	flagAdmin   = 1 << (iota + 3)
	flagDisabled
	flagUpload
	flagHostRealm // the realm is the host of the key
	flagExtra     // gateway class and most contacts follow the texts
)

// The bits of a credential's first byte.
const (
	credAlgorithm = 3      // mask
	credIsKey     = 1 << 2 // the name is the whole key,
	credIsUser    = 1 << 3 // or its user part; else its text follows
	credRealm     = 1 << 4 // the realm is the user's; else its text follows
)

const (
	// maxText is what a length in one byte can say, and more than the checks of package store let in.
	maxText = math.MaxUint8
	// maxCredentials is how many rows of credentials one user may have: a name and a number, some realms, three algorithms.
	maxCredentials = 256
	maxHA1         = 32 // bytes: SHA-256
)

// User is a user as decisions read him. The zero User is nobody.
type User struct {
	ID            int64
	Key           sipaddr.AOR
	DisplayName   string
	ClassID       int64 // of gateway_classes; 0: none
	MaxContacts   int   // 0: the server's
	AuthPolicy    store.AuthPolicy
	DefaultAction store.Action
	Disabled      bool
}

// Exists tells a user from nobody.
func (u User) Exists() bool { return u.Key != "" }

// Credential is what a name authenticates with. The zero Credential is nobody's.
type Credential struct {
	User User // whose it is
	ha1  string
}

// Exists tells a credential from none.
func (c Credential) Exists() bool { return c.ha1 != "" }

// AppendHA1 appends the HA1 in lower-case hex.
func (c Credential) AppendHA1(dst []byte) []byte { return appendHex(dst, c.ha1) }

func appendHex(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	for i := range len(s) {
		dst = append(dst, digits[s[i]>>4], digits[s[i]&15])
	}
	return dst
}

// appendHead appends the part of u's record before the credentials.
func appendHead(dst []byte, u *store.User) ([]byte, error) {
	realm := u.Realm
	flags := uint16(u.AuthPolicy)&3 | uint16(u.DefaultAction)&3<<shiftAction
	for _, f := range [...]struct {
		bit uint16
		set bool
	}{{flagAdmin, u.IsAdmin}, {flagDisabled, u.Disabled}, {flagUpload, u.MayUploadCGI}, {flagHostRealm, realm == hostOf(string(u.Key))},
		{flagExtra, u.GatewayClassID != 0 || u.MaxContacts != 0}} {
		if f.set {
			flags |= f.bit
		}
	}
	if flags&flagHostRealm != 0 {
		realm = ""
	}
	texts := [...]string{string(u.Key), realm, u.DisplayName, u.Email}
	for _, t := range texts {
		if len(t) > maxText {
			return dst, fmt.Errorf("%w: %.40q... has more than %d bytes", store.ErrInvalid, t, maxText)
		}
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(u.ID))
	dst = binary.LittleEndian.AppendUint16(dst, flags)
	for _, t := range texts {
		dst = append(dst, byte(len(t)))
	}
	for _, t := range texts {
		dst = append(dst, t...)
	}
	if flags&flagExtra != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(u.GatewayClassID))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(min(u.MaxContacts, math.MaxUint32)))
	}
	return dst, nil
}

// appendCredential appends a credential to the head (and credentials) of its user.
func appendCredential(dst []byte, head record, c *store.Credential) ([]byte, error) {
	if err := c.Check(); err != nil {
		return dst, err
	}
	if len(c.Username) > maxText || len(c.Realm) > maxText {
		return dst, fmt.Errorf("%w: auth_username or realm of %.40q has more than %d bytes", store.ErrInvalid, c.Username, maxText)
	}
	key := head.key()
	what := byte(c.Algorithm)
	switch c.Username {
	case key:
		what |= credIsKey
	case userOf(key):
		what |= credIsUser
	}
	if c.Realm == head.realm() {
		what |= credRealm
	}
	dst = append(dst, what)
	if what&(credIsKey|credIsUser) == 0 {
		dst = append(append(dst, byte(len(c.Username))), c.Username...)
	}
	if what&credRealm == 0 {
		dst = append(append(dst, byte(len(c.Realm))), c.Realm...)
	}
	var raw [maxHA1]byte
	n, err := hex.Decode(raw[:], []byte(c.HA1))
	return append(dst, raw[:n]...), err
}

// userOf and hostOf are the parts of a key before and behind its last @.
func userOf(key string) string { return key[:max(0, strings.LastIndexByte(key, '@'))] }
func hostOf(key string) string { return key[strings.LastIndexByte(key, '@')+1:] }

func (r record) uint32(at int) uint32 {
	return uint32(r[at]) | uint32(r[at+1])<<8 | uint32(r[at+2])<<16 | uint32(r[at+3])<<24
}
func (r record) uint64(at int) uint64 { return uint64(r.uint32(at)) | uint64(r.uint32(at+4))<<32 }
func (r record) id() int64            { return int64(r.uint64(atID)) }
func (r record) flags() uint16        { return uint16(r[atFlags]) | uint16(r[atFlags+1])<<8 }
func (r record) key() string          { return string(r[headSize : headSize+int(r[atLengths])]) }

// ends returns where key, realm, display name and email end.
func (r record) ends() (key, realm, name, email int) {
	key = headSize + int(r[atLengths])
	realm = key + int(r[atLengths+1])
	name = realm + int(r[atLengths+2])
	return key, realm, name, name + int(r[atLengths+3])
}

func (r record) realm() string {
	if r.flags()&flagHostRealm != 0 {
		return hostOf(r.key())
	}
	key, realm, _, _ := r.ends()
	return string(r[key:realm])
}

// headLen is the length of the part before the credentials.
func (r record) headLen() int {
	_, _, _, end := r.ends()
	if r.flags()&flagExtra != 0 {
		end += extraSize
	}
	return end
}

func (r record) head() record  { return r[:r.headLen()] }
func (r record) creds() record { return r[r.headLen():] }

// user returns what decisions read; its texts share the record's bytes.
func (r record) user() User {
	f := r.flags()
	key, realm, name, email := r.ends()
	u := User{
		ID: r.id(), Key: sipaddr.AOR(r[headSize:key]), DisplayName: string(r[realm:name]),
		AuthPolicy: store.AuthPolicy(f & 3), DefaultAction: store.Action(f >> shiftAction & 3), Disabled: f&flagDisabled != 0,
	}
	if f&flagExtra != 0 {
		u.ClassID, u.MaxContacts = int64(r.uint64(email)), int(r.uint32(email+8))
	}
	return u
}

func (r record) userOrNobody() User {
	if r == "" {
		return User{}
	}
	return r.user()
}

// row returns the row of users, without its times.
func (r record) row() store.User {
	u, f := r.user(), r.flags()
	_, _, name, email := r.ends()
	row := store.User{
		ID: u.ID, Key: u.Key, Realm: r.realm(), DisplayName: u.DisplayName, Email: string(r[name:email]), AuthPolicy: u.AuthPolicy,
		DefaultAction: u.DefaultAction, IsAdmin: f&flagAdmin != 0, Disabled: u.Disabled, MayUploadCGI: f&flagUpload != 0, MaxContacts: u.MaxContacts,
		GatewayClassID: u.ClassID,
	}
	return row
}

// credential is one of a record's; its texts share the record's bytes.
type credential struct {
	username, realm string
	algorithm       store.Algorithm
	ha1             string // binary
}

// row returns the row of credentials.
func (c *credential) row(user int64) store.Credential {
	return store.Credential{UserID: user, Username: c.username, Realm: c.realm, Algorithm: c.algorithm, HA1: string(appendHex(nil, c.ha1))}
}

// cut reads the first credential of rest, which begins where those of r do or one before ended, and returns what is behind it.
func (r record) cut(rest record) (credential, record) {
	what := rest[0]
	rest = rest[1:]
	c := credential{algorithm: store.Algorithm(what & credAlgorithm)}
	switch {
	case what&credIsKey != 0:
		c.username = r.key()
	case what&credIsUser != 0:
		c.username = userOf(r.key())
	default:
		c.username, rest = string(rest[1:1+int(rest[0])]), rest[1+int(rest[0]):]
	}
	if what&credRealm != 0 {
		c.realm = r.realm()
	} else {
		c.realm, rest = string(rest[1:1+int(rest[0])]), rest[1+int(rest[0]):]
	}
	n := c.algorithm.HA1Len() / 2
	c.ha1, rest = string(rest[:n]), rest[n:]
	return c, rest
}

// find returns the credential with a name, realm and algorithm and which of the record's it is, -1 for none.
func (r record) find(username, realm string, alg store.Algorithm) (int, credential) {
	rest := r.creds()
	for i := 0; rest != ""; i++ {
		var c credential
		if c, rest = r.cut(rest); c.algorithm == alg && c.username == username && c.realm == realm {
			return i, c
		}
	}
	return -1, credential{}
}

// names calls each for every name and realm that credentials have, once: one entry of the index serves all algorithms.
func (r record) names(each func(realm, username string)) {
	rest := r.creds()
	for begin := rest; rest != ""; {
		at := len(rest)
		var c credential
		c, rest = r.cut(rest)
		known := false
		for before := begin; len(before) > at && !known; {
			var b credential
			b, before = r.cut(before)
			known = b.username == c.username && b.realm == c.realm
		}
		if !known {
			each(c.realm, c.username)
		}
	}
}
