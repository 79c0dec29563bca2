package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// Limits of a configuration file. A campus's longest is a few hundred lines.
const (
	maxFile  = 1 << 20
	maxLine  = maxValue + 1024
	maxWords = 64
)

// File is a parsed sipd.conf or cinema_db.conf.
type File struct {
	Name     string
	Database string  // the database URL: the line of a cinema_db.conf, or UserConfig; "" when the file names none
	Values   []Value // directives in order; none in a cinema_db.conf
	Root     string  // the ServerRoot directive
	Classic  bool    // it is a sipd.conf
}

// ReadFile reads and parses a configuration file.
func ReadFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, 0, 4096)
	buf := bytes.NewBuffer(text)
	if _, err := buf.ReadFrom(&limited{f, maxFile}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ParseFile(path, buf.Bytes())
}

// limited reads at most left bytes and then fails: unlike io.LimitReader it does not cut silently.
type limited struct {
	f    *os.File
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.f.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, fmt.Errorf("larger than %d bytes: is this a configuration file?", maxFile)
	}
	return n, err
}

// ParseFile parses the text of a sipd.conf or a cinema_db.conf. They are told apart by content: a cinema_db.conf is one
// line, a database URL.
func ParseFile(name string, text []byte) (*File, error) {
	file := &File{Name: name}
	at := func(line int) string { return fmt.Sprintf("%s:%d", name, line) }
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%s: not UTF-8 text", name)
	}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		// Only at the start of a line: `User #99` is a user by number.
		if line == "" || line[0] == '#' {
			continue
		}
		if len(line) > maxLine {
			return nil, fmt.Errorf("%s: the line has %d bytes, at most %d are taken", at(i+1), len(line), maxLine)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("%s: a control character stands in the line", at(i+1))
		}
		if isURL(line) {
			if file.Database != "" || file.Classic {
				return nil, fmt.Errorf("%s: a database URL stands beside other lines; a cinema_db.conf holds the URL alone, a sipd.conf writes `UserConfig URL`", at(i+1))
			}
			if _, err := ParseDatabase(line); err != nil {
				return nil, fmt.Errorf("%s: %w", at(i+1), err)
			}
			file.Database = line
			continue
		}
		if file.Database != "" && !file.Classic {
			return nil, fmt.Errorf("%s: a line after the database URL; a cinema_db.conf holds the URL alone, a sipd.conf writes `UserConfig URL`", at(i+1))
		}
		file.Classic = true
		directive, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		args, err := splitWords(rest)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", at(i+1), directive, err)
		}
		file.Values = append(file.Values, Value{Name: directive, Args: args, Source: at(i + 1)})
	}
	if file.Database == "" && !file.Classic {
		return nil, fmt.Errorf("%s: the file is empty; write directives (`UserConfig sqlite:/var/lib/sipd/sipd.db`) or a database URL", name)
	}
	for _, v := range file.Values {
		switch {
		case len(v.Args) != 1:
		case strings.EqualFold(v.Name, "UserConfig"):
			file.Database = v.Args[0]
		case strings.EqualFold(v.Name, "ServerRoot"):
			file.Root = v.Args[0]
		}
	}
	return file, nil
}

// isURL tells a line that is a database URL from a directive.
func isURL(line string) bool {
	word, _, _ := strings.Cut(line, " ")
	scheme, _, ok := strings.Cut(word, ":")
	return ok && (strings.Contains(word, "://") || strings.EqualFold(scheme, "sqlite"))
}

// splitWords splits the words of a directive. A word in double quotes may hold spaces; in it \" is a quote and \\ a
// backslash, and every other backslash stands for itself (regular expressions are full of them).
func splitWords(text string) ([]string, error) {
	var words []string
	for text = strings.TrimLeft(text, " \t\n"); text != ""; text = strings.TrimLeft(text, " \t\n") {
		if len(words) == maxWords {
			return nil, fmt.Errorf("more than %d words", maxWords)
		}
		if text[0] != '"' {
			end := strings.IndexAny(text, " \t\n")
			if end < 0 {
				end = len(text)
			}
			words, text = append(words, text[:end]), text[end:]
			continue
		}
		word, rest, err := unquote(text[1:])
		if err != nil {
			return nil, err
		}
		if rest != "" && !strings.ContainsRune(" \t\n", rune(rest[0])) {
			return nil, fmt.Errorf("text follows a closing quote at %q; put a space between", clip(rest))
		}
		words, text = append(words, word), rest
	}
	return words, nil
}

// unquote reads up to the closing quote.
func unquote(text string) (word, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], nil
		case c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a double quote is not closed")
}

// clip shortens text for a message.
func clip(text string) string {
	if len(text) > 20 {
		return text[:20] + "..."
	}
	return text
}
