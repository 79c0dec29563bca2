package config

import (
	"strings"

	"sipd/canonicalize"
)

// canonicalizeArgs reads the arguments of the classic program canonicalize.
func canonicalizeArgs(b *builder, v Value) error {
	a, note, err := canonicalize.ParseArguments(strings.Join(v.Args, " "))
	if err != nil {
		return err
	}
	if note != "" {
		b.note("Canonicalize " + note)
	}
	if a.DialPlanPath != "" {
		b.note("Canonicalize -D: rules live in the database: write `sipd dialplan import " + a.DialPlanPath + "`")
	}
	b.Canonicalize = a
	return nil
}

// gatewayClassOf reads whose class counts where a user leads a caller on to a number.
func gatewayClassOf(b *builder, v Value) (err error) {
	b.GatewayClassOf, err = oneOf(v, "owner", "caller")
	return err
}
