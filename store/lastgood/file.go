package lastgood

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The files of a folder.
const (
	TablesFile   = "lastgood-tables"
	BindingsFile = "lastgood-bindings"
)

// title begins every file; the number behind it is the version of the format, one digit and a line end.
const title = "sipd last good "

// What version 2 added: the records of third_parties and trusted_peers; version 3: those of the plan and of forwards, and how an alias rings. Files
// of earlier versions are read, and mean that there are none. Bindings are the same in all.
const (
	oldest, newest  = '1', '3'
	tablesVersion   = '3'
	planVersion     = '3'
	bindingsVersion = '1'
)

const (
	// blockSize is when a block is full enough to be written.
	blockSize = 64 << 10
	// maxRecord is how long a record may be. A binding has texts of 64 KiB at most; a longer row was typed by hand and is left out.
	maxRecord = 512 << 10
	// maxBlock bounds a block that is read.
	maxBlock = blockSize + maxRecord
	// maxFile bounds a file that is read: a million users with four credentials each take 0.2 GB.
	maxFile = 8 << 30
	// syncEvery is how many bytes are handed to the disk at a time: a large fsync at the end would hold up the database's.
	syncEvery = 4 << 20
	// workAtLeast and restFactor are the pace of a file that has time: work that long, rest restFactor times as long.
	workAtLeast = 2 * time.Millisecond
	restFactor  = 9
	// fileMode: HA1s and the private key are as good as passwords.
	fileMode = 0o600
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says what a file holds.
type Header struct {
	Database string    // which database, without user and password
	ServerID int64     // the server record
	Server   string    // and its name
	Of       time.Time // when the rows were the database's
}

// What records begin with.
const (
	kindHeader      = 'H'
	kindSetting     = 'S'
	kindDomain      = 'D'
	kindUser        = 'U'
	kindCredential  = 'C'
	kindAlias       = 'A'
	kindBinding     = 'B'
	kindThirdParty  = 'T'
	kindTrustedPeer = 'P'
	kindForward     = 'F'
	kindClass       = 'c'
	kindDialRule    = 'd'
	kindGatewayRule = 'm'
	kindGateway     = 'g'
	kindEnd         = 'E'
)

// writer writes a file. Its methods do nothing after an error.
type writer struct {
	ctx      context.Context
	f        *os.File
	buf      []byte
	from     int    // where the present record begins
	number   uint32 // of the next block
	records  uint64
	unsynced int
	hurry    bool
	worked   time.Time // since when, without a rest
	err      error
}

// write makes the file at path with what fill writes. Until it is complete and on disk the one before stays. Without hurry it takes a
// tenth of one core at most.
func write(ctx context.Context, path string, version byte, hurry bool, h Header, fill func(*writer)) (err error) {
	next := path + ".new" // One name, so that those cut short by a kill do not pile up.
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, ignoreClosed(f.Close()), os.Remove(next)))
		}
	}()
	if err := f.Chmod(fileMode); err != nil { // One that was there may have had another.
		return err
	}
	w := &writer{ctx: ctx, f: f, hurry: hurry, worked: time.Now(), buf: make([]byte, 0, blockSize+blockSize/4)}
	if _, err := fmt.Fprintf(f, "%s%c\n", title, version); err != nil {
		return err
	}
	w.header(&h)
	fill(w)
	w.begin(kindEnd)
	w.uint(w.records)
	w.end()
	w.flush()
	if w.err != nil {
		return w.err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := Touch(next, h.Of); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// begin begins a record.
func (w *writer) begin(kind byte) {
	if len(w.buf) == 0 {
		w.buf = append(w.buf, make([]byte, blockHead)...)
	}
	w.from = len(w.buf)
	w.buf = append(w.buf, kind)
	w.records++
}

// blockHead is length and checksum.
const blockHead = 8

// end ends a record, and the block when it is full.
func (w *writer) end() {
	if len(w.buf)-w.from > maxRecord {
		w.buf = w.buf[:w.from]
		w.records--
	}
	if len(w.buf) >= blockSize {
		w.flush()
	}
}

func (w *writer) uint(v uint64)  { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *writer) int(v int64)    { w.buf = binary.AppendVarint(w.buf, v) }
func (w *writer) text(s string)  { w.buf = append(binary.AppendUvarint(w.buf, uint64(len(s))), s...) }
func (w *writer) bytes(b []byte) { w.buf = append(binary.AppendUvarint(w.buf, uint64(len(b))), b...) }
func (w *writer) byte(b byte)    { w.buf = append(w.buf, b) }
func (w *writer) flags(on ...bool) {
	var b byte
	for i, yes := range on {
		if yes {
			b |= 1 << i
		}
	}
	w.byte(b)
}

// flush writes the block, and rests.
func (w *writer) flush() {
	defer func() { w.buf = w.buf[:0] }()
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err != nil || len(w.buf) == 0 {
		return
	}
	data := w.buf[blockHead:]
	if len(data) == 0 {
		return
	}
	binary.LittleEndian.PutUint32(w.buf, uint32(len(data)))
	binary.LittleEndian.PutUint32(w.buf[4:], checksum(w.number, data))
	w.number++
	if _, w.err = w.f.Write(w.buf); w.err != nil {
		return
	}
	if w.unsynced += len(w.buf); w.unsynced >= syncEvery {
		w.unsynced = 0
		if w.err = w.f.Sync(); w.err != nil {
			return
		}
	}
	if worked := time.Since(w.worked); !w.hurry && worked >= workAtLeast {
		select {
		case <-w.ctx.Done():
		case <-time.After(restFactor * worked):
		}
		w.worked = time.Now()
	}
}

func checksum(number uint32, data []byte) uint32 {
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], number)
	return crc32.Update(crc32.Checksum(n[:], castagnoli), castagnoli, data)
}

func (w *writer) header(h *Header) {
	w.begin(kindHeader)
	w.text(h.Database)
	w.int(h.ServerID)
	w.text(h.Server)
	w.int(h.Of.UnixNano())
	w.flush() // A block of its own: Peek reads no more.
}

// reader reads a file. Its methods return zero values after an error.
type reader struct {
	name    string
	version byte
	f       *os.File
	r       *bufio.Reader
	block   []byte // what is left of it
	buf     []byte
	number  uint32
	records uint64
	err     error
	same    string // see text
}

// errDamaged says that a file is not as it was written.
var errDamaged = errors.New("it is damaged or cut off")

// open opens the file at path and reads its header.
func open(path string) (*reader, Header, error) {
	fail := func(err error) (*reader, Header, error) {
		return nil, Header{}, fmt.Errorf("%s cannot be used: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, Header{}, err // It names the file.
	}
	if err := trusted(f); err != nil {
		return fail(errors.Join(err, f.Close()))
	}
	r := &reader{name: path, f: f, r: bufio.NewReaderSize(f, blockSize)}
	start := make([]byte, len(title)+2)
	if _, err := io.ReadFull(r.r, start); err != nil {
		return fail(errors.Join(errDamaged, f.Close()))
	}
	version, ours := strings.CutPrefix(string(start), title)
	if !ours || version[0] < oldest || version[0] > newest || version[1] != '\n' {
		err := errors.New("it was not written by sipd")
		if ours {
			err = errors.New("it was written by another version of sipd")
		}
		return fail(errors.Join(err, f.Close()))
	}
	r.version = version[0]
	if r.kind() != kindHeader {
		r.fail()
	}
	h := Header{Database: r.text(), ServerID: r.int(), Server: r.text(), Of: time.Unix(0, r.int())}
	if len(r.block) > 0 {
		r.fail()
	}
	if r.err != nil {
		return fail(errors.Join(r.err, f.Close()))
	}
	return r, h, nil
}

// trusted tells what is wrong with a file whose rows decide who may call: others can read or write it, or it is no file.
func trusted(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("its mode is %v, others could have written it: remove it", info.Mode().Perm())
	case info.Size() > maxFile:
		return fmt.Errorf("it has %d bytes, more than %d", info.Size(), int64(maxFile))
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d, sipd runs as %d: remove it", stat.Uid, os.Geteuid())
	}
	return nil
}

// read calls each with the kind of every record until the end, which must be as it was written.
func (r *reader) read(each func(kind byte)) error {
	for r.err == nil {
		kind := r.kind()
		if r.err != nil {
			break
		}
		if kind != kindEnd {
			each(kind)
			continue
		}
		if n := r.uint(); n != r.records || len(r.block) > 0 {
			r.fail()
		}
		if _, err := r.r.ReadByte(); r.err == nil && !errors.Is(err, io.EOF) {
			r.fail()
		}
		break
	}
	err := errors.Join(r.err, r.f.Close())
	if err != nil {
		return fmt.Errorf("%s cannot be used: %w", r.name, err)
	}
	return nil
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errDamaged
		r.block = nil
	}
}

// kind begins the next record.
func (r *reader) kind() byte {
	if len(r.block) == 0 && r.err == nil {
		r.next()
	}
	r.records++
	return r.byte()
}

// next reads a block.
func (r *reader) next() {
	var head [blockHead]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		r.broken(err)
		return
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxBlock {
		r.fail()
		return
	}
	if int(n) > cap(r.buf) {
		r.buf = make([]byte, max(n, blockSize+blockSize/4))
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		r.broken(err)
		return
	}
	if checksum(r.number, r.buf) != binary.LittleEndian.Uint32(head[4:]) {
		r.fail()
		return
	}
	r.number++
	r.block = r.buf
}

// broken is fail for an error of reading: the end of the file is damage, a broken disk says so itself.
func (r *reader) broken(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.fail()
	} else if r.err == nil {
		r.err = err
	}
}

func (r *reader) byte() byte {
	if len(r.block) == 0 {
		r.fail()
		return 0
	}
	b := r.block[0]
	r.block = r.block[1:]
	return b
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.block)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.block = r.block[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.block)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.block = r.block[n:]
	return v
}

// bytes is valid until the next block.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.block)) {
		r.fail()
		return nil
	}
	b := r.block[:n]
	r.block = r.block[n:]
	return b
}

func (r *reader) text() string { return string(r.bytes()) }

// shared is text for what is often that of the record before, such as a realm.
func (r *reader) shared() string {
	if b := r.bytes(); string(b) != r.same {
		r.same = string(b)
	}
	return r.same
}

// of checks that a file is what is asked for: of this database, and of the server record if one is named.
func (h *Header) of(database, server string) error {
	switch {
	case h.Database != database:
		return fmt.Errorf("it is of the database %s, not of %s", h.Database, database)
	case server != "" && h.Server != server:
		return fmt.Errorf("it is of the server record %q, not of %q", h.Server, server)
	}
	return nil
}

// Peek reads the header of a file and tells whether it is of that database and server record ("" is any). What follows is not looked at.
// A file that is not there is fs.ErrNotExist.
func Peek(path, database, server string) (Header, error) {
	r, h, err := open(path)
	if err != nil {
		return Header{}, err
	}
	if err := errors.Join(h.of(database, server), r.f.Close()); err != nil {
		return Header{}, fmt.Errorf("%s cannot be used: %w", path, err)
	}
	return current(path, h)
}

// Touch notes that what the file holds was the database's at a later moment, too, without writing it again.
func Touch(path string, of time.Time) error { return os.Chtimes(path, time.Time{}, of) }

// current takes the later moment that Touch has noted.
func current(path string, h Header) (Header, error) {
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return h, err
	}
	if err == nil && info.ModTime().After(h.Of) {
		h.Of = info.ModTime()
	}
	return h, nil
}
