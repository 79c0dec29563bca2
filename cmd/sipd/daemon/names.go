package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"sipd/canonicalize"
	"sipd/server/target"
)

// Where the machine keeps its names, unless Canonicalize says otherwise.
const (
	aliasFile  = "/etc/aliases"
	passwdFile = "/etc/passwd"
)

// maxNamesFile bounds the bytes of such a file: a million lines.
const maxNamesFile = 128 << 20

// machineNames are the mail aliases and full names of the machine (setting Canonicalize). look has one caller at a time.
type machineNames struct {
	log           *slog.Logger
	now           atomic.Pointer[target.Names]
	aliases, full namesFile
}

// namesFile is one of the files as it was read last.
type namesFile struct {
	path string
	time time.Time
	size int64
}

// names is server.Config.Machine.
func (m *machineNames) names() target.Names {
	if n := m.now.Load(); n != nil {
		return *n
	}
	return target.Names{}
}

// look reads the files that have changed. One that cannot be read leaves the names as they were.
func (m *machineNames) look(args canonicalize.Arguments) {
	was := m.names()
	is := target.Names{}
	if args.AliasFile {
		path := args.AliasPath
		if path == "" {
			path = aliasFile
		}
		is.Aliases = m.read(&m.aliases, path, was.Aliases, canonicalize.ReadAliases)
	} else {
		m.aliases = namesFile{}
	}
	if args.Names {
		is.FullNames = m.read(&m.full, passwdFile, was.FullNames, func(r io.Reader) (*canonicalize.Names, []string, error) {
			n, err := canonicalize.ReadFullNames(r)
			return n, nil, err
		})
	} else {
		m.full = namesFile{}
	}
	if is != was {
		m.now.Store(&is)
	}
}

func (m *machineNames) read(f *namesFile, path string, was *canonicalize.Names, parse func(io.Reader) (*canonicalize.Names, []string, error)) *canonicalize.Names {
	n, notes, err := f.read(path, parse)
	switch {
	case err != nil:
		m.log.Warn("names of this machine cannot be read; those before stay", "file", path, "err", err)
		return was
	case n == nil:
		return was
	}
	for _, note := range notes[:min(len(notes), maxNotes)] {
		m.log.Info("a name of this machine is passed over", "file", path, "note", note)
	}
	m.log.Info("names of this machine are read", "file", path, "names", n.Len())
	return n
}

// maxNotes bounds the lines that one file puts into the log.
const maxNotes = 20

// read returns nothing when the file is as it was.
func (f *namesFile) read(path string, parse func(io.Reader) (*canonicalize.Names, []string, error)) (*canonicalize.Names, []string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if f.path == path && f.time.Equal(info.ModTime()) && f.size == info.Size() {
		return nil, nil, nil
	}
	*f = namesFile{path, info.ModTime(), info.Size()} // One that is wrong is told once.
	if !info.Mode().IsRegular() || info.Size() > maxNamesFile {
		return nil, nil, fmt.Errorf("no file of at most %d MB", maxNamesFile>>20)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	return parse(io.LimitReader(file, maxNamesFile))
}
