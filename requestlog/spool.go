package requestlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sipd/store"
)

// spool is a queue of rows on disk: files of a folder that are appended to, and removed when the database has what is in them. A file is a
// line that names it and records: length, CRC-32C, row. The process that wrote a file may have been killed in the middle of a
// record: what stands before it is read, the torn rest is cut. A file that was read in part when its reader was killed is read again
// from its beginning: the event ids keep a row from standing twice.
type spool struct {
	dir   string
	title string      // the line that a file begins with
	files []spoolFile // the oldest first; the last one may be open for writing
	rows  int         // in all files, not yet taken by the database
	bytes int64
	limit int64 // of bytes

	w    *os.File // of the last of files; nil: the next row begins another
	r    *bufio.Reader
	rf   *os.File // of files[0], as far as it was read
	left int      // rows of files[0] not yet taken
	told string   // the file that could not be opened last, for the log to hear of once

	lost func(file string, err error) // told of rows that cannot be read
}

type spoolFile struct {
	name  string
	rows  int
	bytes int64
}

const (
	spoolTitle  = "sipd request log 1 of " // the database follows, and a line end
	spoolPrefix = "requestlog-"
	// spoolFileBytes is when a file is full: what was written once is read and removed at once.
	spoolFileBytes = 4 << 20
	// maxSpool bounds all files together: some million rows.
	maxSpool = 512 << 20
	// maxRecord bounds a row on disk: 13 texts of maxField bytes and the numbers.
	maxRecord = 13*(maxField+3) + 64
	spoolHead = 8
	// maxSpoolFiles bounds the files that are looked at.
	maxSpoolFiles = 4096
)

// errSpoolFull says that the folder holds as much as it may.
var errSpoolFull = errors.New("requestlog: the folder is full")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openSpool finds what earlier processes left in a folder that this one has for itself. A file that cannot be read now, is another
// version's or has rows of another database is told and left alone: it may be whole.
func openSpool(dir, database string, lost func(file string, err error)) (*spool, error) {
	s := &spool{dir: dir, title: spoolTitle + strconv.Quote(database) + "\n", limit: maxSpool, lost: lost}
	names, err := filepath.Glob(filepath.Join(escape(dir), spoolPrefix+"*"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names) // The numbers have leading zeros.
	for _, name := range names[:min(len(names), maxSpoolFiles)] {
		f := spoolFile{name: name}
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if f.rows, f.bytes, err = s.count(name); err != nil {
			lost(name, err)
			if !errors.Is(err, errTorn) {
				continue
			}
		}
		s.files = append(s.files, f)
		s.rows += f.rows
		s.bytes += f.bytes
	}
	return s, nil
}

// escape keeps a folder's name from being a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// count reads a file and returns how many rows are whole.
func (s *spool) count(name string) (rows int, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	r, err := s.begin(f)
	if err != nil {
		return 0, 0, err
	}
	size = int64(len(s.title))
	var buf []byte
	for {
		if buf, err = record(r, buf); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return rows, size, err
		}
		rows++
		size += int64(len(buf)) + spoolHead
	}
}

// begin reads the title of a file.
func (s *spool) begin(f *os.File) (*bufio.Reader, error) {
	r := bufio.NewReaderSize(f, 64<<10)
	start := make([]byte, len(s.title))
	switch _, err := io.ReadFull(r, start); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errTorn
	case err != nil:
		return nil, err
	case string(start) != s.title:
		return nil, errors.New("it is of another database, or of another version of sipd")
	}
	return r, nil
}

// errTorn says that a file ends, or goes on, as nobody has written it.
var errTorn = errors.New("a torn row at its end")

// record reads the next row into buf; io.EOF is the end of a whole file.
func record(r *bufio.Reader, buf []byte) ([]byte, error) {
	var head [spoolHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errTorn
		}
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxRecord {
		return nil, errTorn
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errTorn
		}
		return nil, err
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errTorn
	}
	return buf, nil
}

// put appends rows, all or none. The oldest are kept: a full folder takes no more.
func (s *spool) put(rows []store.LogRow) error {
	var buf []byte
	for i := range rows {
		at := len(buf)
		buf = append(buf, make([]byte, spoolHead)...)
		buf = appendRow(buf, &rows[i])
		body := buf[at+spoolHead:]
		binary.LittleEndian.PutUint32(buf[at:], uint32(len(body)))
		binary.LittleEndian.PutUint32(buf[at+4:], crc32.Checksum(body, castagnoli))
	}
	if s.bytes+int64(len(buf)) > s.limit {
		return errSpoolFull
	}
	if s.w != nil && s.last().bytes >= spoolFileBytes {
		if err := s.endFile(); err != nil {
			return err
		}
	}
	if s.w == nil {
		if err := s.beginFile(); err != nil {
			return err
		}
	}
	if _, err := s.w.Write(buf); err != nil {
		// What was written of it is cut; where that fails, too, the reader does it.
		if cut := s.w.Truncate(s.last().bytes); cut != nil {
			return errors.Join(err, s.endFile())
		}
		return err
	}
	s.last().rows += len(rows)
	s.last().bytes += int64(len(buf))
	s.rows += len(rows)
	s.bytes += int64(len(buf))
	return nil
}

func (s *spool) last() *spoolFile { return &s.files[len(s.files)-1] }

func (s *spool) beginFile() error {
	number := uint64(1)
	if len(s.files) > 0 {
		text := strings.TrimPrefix(filepath.Base(s.last().name), spoolPrefix)
		n, err := strconv.ParseUint(text, 10, 63)
		if err == nil {
			number = n + 1
		}
	}
	var name string
	var f *os.File
	for range maxSpoolFiles { // One that openSpool has left alone may have the number.
		var err error
		name = filepath.Join(s.dir, fmt.Sprintf("%s%016d", spoolPrefix, number))
		if f, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600); err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		number++
	}
	if f == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	if _, err := io.WriteString(f, s.title); err != nil {
		return errors.Join(err, f.Close(), os.Remove(name))
	}
	s.w = f
	s.files = append(s.files, spoolFile{name: name, bytes: int64(len(s.title))})
	s.bytes += int64(len(s.title))
	return nil
}

// endFile closes the file that is written, on disk.
func (s *spool) endFile() error {
	if s.w == nil {
		return nil
	}
	err := errors.Join(s.w.Sync(), s.w.Close())
	s.w = nil
	return err
}

// take returns the next rows, at most n, of one file; none when the spool is empty, or when its oldest file cannot be opened now. The
// caller keeps them until it can say by took that the database has them: then, and not before, a file is removed.
func (s *spool) take(n int) []store.LogRow {
	for len(s.files) > 0 {
		rows, later := s.read(n)
		if len(rows) > 0 || later {
			return rows
		}
		s.remove()
	}
	return nil
}

// read reads the next rows of the oldest file. later: it is there and cannot be opened, for want of a descriptor for example.
func (s *spool) read(n int) (rows []store.LogRow, later bool) {
	if len(s.files) == 1 && s.w != nil {
		if err := s.endFile(); err != nil {
			s.lost(s.files[0].name, err)
		}
	}
	name := s.files[0].name
	if s.rf == nil {
		f, err := os.Open(name)
		if err != nil {
			if s.told != name {
				s.told = name
				s.lost(name, err)
			}
			return nil, !errors.Is(err, fs.ErrNotExist)
		}
		r, err := s.begin(f)
		if err != nil {
			f.Close() // What is wrong with it was told when it was counted.
			return nil, false
		}
		s.rf, s.r, s.left, s.told = f, r, s.files[0].rows, ""
	}
	var buf []byte
	var err error
	for range min(n, s.left) {
		if buf, err = record(s.r, buf); err != nil {
			s.lost(name, err)
			break
		}
		row, ok := readRow(buf)
		if !ok {
			s.lost(name, errTorn)
			break
		}
		rows = append(rows, row)
	}
	return rows, false
}

// took says that the database has n rows of the last take.
func (s *spool) took(n int) {
	s.rows -= n
	s.left -= n
	s.files[0].rows -= n
	if s.left == 0 {
		s.remove()
	}
}

// remove removes the oldest file.
func (s *spool) remove() {
	s.closeReader()
	f := s.files[0]
	if err := os.Remove(f.name); err != nil {
		s.lost(f.name, err)
	}
	s.rows -= f.rows
	s.bytes -= f.bytes
	s.files = slices.Delete(s.files, 0, 1)
}

func (s *spool) closeReader() {
	if s.rf != nil {
		s.rf.Close() // It was only read.
	}
	s.rf, s.r, s.left = nil, nil, 0
}

func (s *spool) close() error {
	s.closeReader()
	return s.endFile()
}

// appendRow appends a row: the texts in a fixed order with their lengths, and the numbers.
func appendRow(b []byte, r *store.LogRow) []byte {
	for _, t := range rowTexts(r) {
		b = append(binary.AppendUvarint(b, uint64(len(*t))), *t...)
	}
	b = binary.AppendVarint(b, r.Time.UnixNano())
	b = binary.AppendVarint(b, int64(r.Status))
	b = binary.AppendUvarint(b, uint64(r.CSeq))
	return binary.AppendVarint(b, int64(r.Duration))
}

// readRow reads what appendRow wrote.
func readRow(b []byte) (r store.LogRow, ok bool) {
	for _, t := range rowTexts(&r) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return r, false
		}
		*t = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	number := func() int64 {
		v, size := binary.Varint(b)
		if size <= 0 {
			ok = false
			return 0
		}
		b = b[size:]
		return v
	}
	ok = true
	r.Time = time.Unix(0, number())
	r.Status = int(number())
	cseq, size := binary.Uvarint(b)
	if size <= 0 {
		return r, false
	}
	b = b[size:]
	r.CSeq = uint32(cseq)
	r.Duration = time.Duration(number())
	return r, ok && len(b) == 0
}

// rowTexts are the texts of a row.
func rowTexts(r *store.LogRow) [13]*string {
	return [13]*string{&r.Method, &r.RequestURL, &r.CallID, &r.From, &r.To, &r.Server, &r.FromTag, &r.ToTag, &r.AuthUser,
		&r.Source, &r.NextHop, &r.Class, &r.EventID}
}
