package pattern

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Line is a rule of a map file.
type Line struct {
	Number  int // of the line, from 1
	Pattern *Pattern
	Classes []string // of a gateway map; "*" is any class
	Target  Target
	Comment string // the comment lines right above
}

const (
	// maxLine is how long a line may be: pattern, classes and target, generously.
	maxLine = 4096
	// MaxRules is how many rules a map may have: ten times the largest campus's.
	MaxRules = 10000
	// MaxClasses is how many classes a rule may name.
	MaxClasses = 64
)

// Read reads a map file: a line a rule, fields divided by blanks: pattern and target, in a gateway map (classes) the classes between
// them, divided by commas. Lines that begin with # are comments. The errors of all lines are joined, and then there are no rules: half
// a map would send calls astray.
func Read(r io.Reader, classes bool) ([]Line, error) {
	var lines []Line
	var faults []error
	comment := ""
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	n := 0
	for in.Scan() {
		n++
		text := strings.TrimSpace(in.Text())
		if note, is := strings.CutPrefix(text, "#"); is {
			comment = strings.TrimSpace(comment + " " + strings.TrimSpace(note))
			continue
		}
		if text == "" {
			comment = ""
			continue
		}
		line, err := parseLine(text, classes)
		if err == nil && len(lines) == MaxRules {
			return nil, fmt.Errorf("line %d: a map has at most %d rules", n, MaxRules)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		line.Number, line.Comment = n, comment
		comment = ""
		lines = append(lines, line)
	}
	if err := in.Err(); err != nil {
		faults = append(faults, fmt.Errorf("line %d: %w", n+1, err))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return lines, nil
}

func parseLine(text string, classes bool) (l Line, err error) {
	fields := strings.Fields(text)
	switch {
	case classes && len(fields) != 3:
		return l, fmt.Errorf("%d fields; a rule has three: pattern, classes, target, as in (+1)* staff,faculty sip:$@gw.example.com", len(fields))
	case !classes && len(fields) != 2:
		return l, fmt.Errorf("%d fields; a rule has two: pattern and target, as in 9(1)* tel:+1$", len(fields))
	}
	if l.Pattern, err = Compile(fields[0]); err != nil {
		return l, err
	}
	if classes {
		if l.Classes, err = ParseClasses(fields[1]); err != nil {
			return l, err
		}
	}
	l.Target, err = ParseTarget(fields[len(fields)-1])
	return l, err
}

// ParseClasses reads a list of classes, divided by commas: "staff,faculty", or "*" for any.
func ParseClasses(text string) ([]string, error) {
	classes := strings.Split(text, ",")
	if len(classes) > MaxClasses {
		return nil, fmt.Errorf("%d classes; a rule names at most %d, or * for any", len(classes), MaxClasses)
	}
	for i, c := range classes {
		switch {
		case c == "":
			return nil, fmt.Errorf("%q: a class is empty: write staff,faculty", text)
		case c == "*" && len(classes) > 1:
			return nil, fmt.Errorf("%q: * is any class already: write it alone", text)
		case strings.EqualFold(c, "NULL"):
			return nil, fmt.Errorf("%q: NULL is no class: who has none is let through no gateway", text)
		case c != "*" && !token(c):
			return nil, fmt.Errorf("%q: a class is a word of letters, digits and - . _", c)
		case slices.Contains(classes[:i], c):
			return nil, fmt.Errorf("%q: %s is named twice", text, c)
		}
	}
	return classes, nil
}

func token(s string) bool {
	for _, c := range []byte(s) {
		if l := c | 0x20; !('a' <= l && l <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return true
}

// Format writes rules as a map file, with the comments above them.
func Format(w io.Writer, lines []Line) error {
	for _, l := range lines {
		if l.Comment != "" {
			if _, err := fmt.Fprintf(w, "# %s\n", l.Comment); err != nil {
				return err
			}
		}
		fields := []string{l.Pattern.String()}
		if len(l.Classes) > 0 {
			fields = append(fields, strings.Join(l.Classes, ","))
		}
		if _, err := fmt.Fprintln(w, strings.Join(append(fields, l.Target.String()), " ")); err != nil {
			return err
		}
	}
	return nil
}
