package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sipd/config"
)

// noState is the value of StateDir that says nowhere.
const noState = "off"

// stateFolder is the folder where a server keeps what it must know without its database, or "" and why there is none: what StateDir
// says, else beside the SQLite file, else where systemd says.
func stateFolder(cfg *Config, early *config.Settings) (folder, why string) {
	switch {
	case strings.EqualFold(early.StateDir, noState):
		return "", "StateDir is off"
	case early.StateDir != "":
		return below(cfg.Root, early.StateDir), ""
	}
	if path, ok := (config.Database{URL: cfg.Database}).SQLite(); ok {
		path, _, _ = strings.Cut(path, "?")
		// Not FILE-state: whoever removes an SQLite database removes FILE*, and stumbles over a folder.
		return strings.TrimSuffix(path, filepath.Ext(path)) + ".state", ""
	}
	if cfg.StateEnv != "" {
		first, _, _ := strings.Cut(cfg.StateEnv, ":") // Several directories are separated by colons (systemd.exec(5)).
		return first, ""
	}
	return "", "no folder is named: write StateDir in sipd.conf, --set StateDir=/var/lib/sipd, or StateDirectory=sipd in the systemd unit"
}

// below makes a relative file name hang below root.
func below(root, path string) string {
	if root == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

// folder is a folder that this process alone works in.
type folder struct {
	path string
	lock *os.File
}

// errFolderTaken says that another process works in a folder.
var errFolderTaken = errors.New("another sipd works in it")

// takeFolder makes a folder and the lock in it. A server that is just ending is waited for.
func takeFolder(ctx context.Context, path string) (*folder, error) {
	// What it hangs below must be there: a mistyped name is not made.
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return &folder{path: path, lock: f}, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		case time.Now().After(end):
			return nil, errors.Join(errFolderTaken, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPoll):
		}
	}
}

// file returns the name of a file in it.
func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

func (f *folder) close() error { return f.lock.Close() } // The lock ends with it.

// identity names a database in what is kept on disk: without user, password and parameters, so that changing these is no
// change of the database.
func identity(dburl string) string {
	if path, ok := (config.Database{URL: dburl}).SQLite(); ok {
		path, _, _ = strings.Cut(path, "?")
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		return "sqlite:" + path
	}
	u, err := url.Parse(dburl)
	if err != nil {
		return "a database whose URL cannot be read"
	}
	return u.Scheme + "://" + u.Host + u.Path
}
