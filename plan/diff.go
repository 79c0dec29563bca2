package plan

import (
	"slices"
	"strings"

	"sipd/gatewaymap"
	"sipd/sipaddr"
	"sipd/store"
)

// Known is users and aliases in memory: Names that ask nobody.
type Known struct {
	users   map[sipaddr.AOR]bool
	aliases map[string][]store.Alias
}

// NewKnown collects them. Rows of one alias are in their order.
func NewKnown(users []sipaddr.AOR, aliases []store.Alias) *Known {
	k := &Known{make(map[sipaddr.AOR]bool, len(users)), make(map[string][]store.Alias, len(aliases))}
	for _, u := range users {
		k.users[u] = true
	}
	for _, a := range aliases {
		k.aliases[a.Alias] = append(k.aliases[a.Alias], a)
	}
	return k
}

// HasUser implements Names.
func (k *Known) HasUser(key sipaddr.AOR) (bool, error) { return k.users[key], nil }

// Aliases implements Names.
func (k *Known) Aliases(alias string) ([]store.Alias, error) { return k.aliases[alias], nil }

// Numbers are the numbers that users and aliases have, and their ends of two digits and more: what people dial within a house leads to them
// by the dial plan.
func (k *Known) Numbers() []string {
	set := map[string]bool{}
	add := func(aor string) {
		n := sipaddr.AOR(aor).User()
		if !isNumber(n) {
			return
		}
		set[n] = true
		n = strings.TrimPrefix(n, "+")
		for ; len(n) >= 2; n = n[1:] {
			set[n] = true
		}
	}
	for u := range k.users {
		add(string(u))
	}
	for a := range k.aliases {
		add(a)
	}
	numbers := make([]string, 0, len(set))
	for n := range set {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "+")
	return s != "" && len(s) <= maxDigits && strings.Trim(s, "0123456789*#") == ""
}

// maxDigits is how long a number is whose ends are looked at: E.164 has 15 digits, some have a prefix.
const maxDigits = 24

// Difference is a number that two states of the tables route differently.
type Difference struct {
	Number  string
	Class   string // of a plan test, NULL for none; "" of a known number, where it does not matter
	Was     string
	Becomes string
	Users   []string // who gets a call that he did not get, or gets none that he did
}

// Diff says what numbers, and plan tests, are routed differently. Numbers are followed up to the gateway map, plan tests through it.
func Diff(before, after *Book, numbers []string, tests []store.PlanTest) ([]Difference, error) {
	var all []Difference
	for _, n := range numbers {
		was, err := before.destination(n)
		if err != nil {
			return nil, err
		}
		becomes, err := after.destination(n)
		if err != nil {
			return nil, err
		}
		all = appendDifference(all, n, "", was, becomes)
	}
	said := make(map[string]bool, len(all))
	for _, d := range all {
		said[d.Number] = true
	}
	for _, t := range tests {
		if _, err := ParseNumber(t.Number); err != nil {
			continue // Nobody can dial it.
		}
		was, err := before.Route(t.Number, t.Class, nil)
		if err != nil {
			return nil, err
		}
		becomes, err := after.Route(t.Number, t.Class, nil)
		if err != nil {
			return nil, err
		}
		if said[t.Number] && was.Users && becomes.Users {
			continue // The class did not matter.
		}
		all = appendDifference(all, t.Number, className(t.Class), was, becomes)
	}
	return all, nil
}

// destination is where a number leads, as far as the class of the caller does not matter.
func (b *Book) destination(number string) (Result, error) {
	r, left, err := b.Resolve(number)
	if err == nil && left != "" {
		r = Result{Outcome: gatewaymap.Found, URIs: []string{"tel:" + left}}
	}
	return r, err
}

func appendDifference(all []Difference, number, class string, was, becomes Result) []Difference {
	d := Difference{Number: number, Class: class, Was: was.String(), Becomes: becomes.String()}
	if d.Was == d.Becomes {
		return all
	}
	for _, pair := range [...][2]*Result{{&was, &becomes}, {&becomes, &was}} {
		if !pair[0].Users {
			continue
		}
		for _, u := range pair[0].URIs {
			if !slices.Contains(pair[1].URIs, u) {
				d.Users = append(d.Users, strings.TrimPrefix(u, "sip:"))
			}
		}
	}
	return append(all, d)
}
