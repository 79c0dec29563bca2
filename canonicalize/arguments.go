package canonicalize

import (
	"fmt"
	"strings"
)

// Arguments are what the setting Canonicalize says: which transformations are asked, and their files.
type Arguments struct {
	Database, AliasFile, Names, DialPlan bool

	AliasPath    string // -A; "" is the machine's /etc/aliases
	DialPlanPath string // -D; "" is the table dialplan
}

// All asks the tables of the database and nothing of the machine: what is in force without the setting.
var All = Arguments{Database: true, DialPlan: true}

// ParseArguments reads the arguments of the classic program canonicalize: -a alias file, -n names, -d dial plan, -m the database's aliases,
// -A FILE and -D FILE files of their own, -T URL the database, which is the server's own here and only noted. Flags without
// argument may be written together. note is what should be told.
func ParseArguments(text string) (a Arguments, note string, err error) {
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		w := words[i]
		if len(w) < 2 || w[0] != '-' {
			return a, "", fmt.Errorf("%q: expected a flag: -a -n -d -m -A FILE -D FILE -T URL", w)
		}
		for j := 1; j < len(w); j++ {
			switch f := w[j]; f {
			case 'a':
				a.AliasFile = true
			case 'n':
				a.Names = true
			case 'd':
				a.DialPlan = true
			case 'm':
				a.Database = true
			case 'A', 'D', 'T':
				arg := w[j+1:]
				if arg == "" {
					if i++; i == len(words) {
						return a, "", fmt.Errorf("-%c: its argument is missing", f)
					}
					arg = words[i]
				}
				switch f {
				case 'A':
					a.AliasFile, a.AliasPath = true, arg
				case 'D':
					a.DialPlan, a.DialPlanPath = true, arg
				case 'T':
					a.Database = true
					note = "-T: the aliases are looked up in the server's own database"
				}
				j = len(w)
			default:
				return a, "", fmt.Errorf("-%c: unknown flag; there are -a -n -d -m -A FILE -D FILE -T URL", f)
			}
		}
	}
	if a == (Arguments{}) {
		return All, "", nil
	}
	return a, note, nil
}
