package locator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// pathOfPrograms is the PATH of programs: what they are told does not depend on who has started the server.
	pathOfPrograms = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// leftBehind is how long the output may stay open when the program has ended: what it left behind is then ended, too.
	leftBehind = 250 * time.Millisecond
	// maxComplaint is how much of standard error is kept for the log.
	maxComplaint = 500
)

// errTooMuch ends a question whose answer does not end.
var errTooMuch = fmt.Errorf("it wrote more than %d bytes", maxOutput)

// program is a program that is run for each question, without a shell. The question is in its environment, which has nothing else but
// PATH, and the answer is what it writes to standard output. Status 0 is success.
type program struct{ path string }

func (p program) close() {}

func (p program) ask(ctx context.Context, q Query) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := limited{most: maxOutput, more: func() { cancel(errTooMuch) }}
	complaint := limited{most: maxComplaint}
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + pathOfPrograms, "SIPD_AOR=" + q.AOR, "SIPD_CALLER=" + q.Caller, "SIPD_METHOD=" + q.Method}
	cmd.Stdout, cmd.Stderr = &out, &complaint
	// A group of its own, so that its children end with it. The group is there as long as one of them is.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = leftBehind
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) && cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		err = errors.New("it ended, and left something behind that holds its output open")
	}
	switch cause := context.Cause(ctx); {
	case cause != nil:
		return nil, cause
	case err != nil && complaint.buf.Len() > 0:
		return nil, fmt.Errorf("%w: %q", err, firstLine(complaint.buf.String()))
	case err != nil:
		return nil, err
	}
	return out.buf.Bytes(), nil
}

// limited keeps the beginning of what is written to it. The first byte too many calls more, if that is set.
type limited struct {
	buf  bytes.Buffer
	most int
	more func()
}

// Write keeps what there is room for; for whoever writes it was all.
func (l *limited) Write(p []byte) (int, error) {
	room := l.most - l.buf.Len()
	if len(p) <= room {
		return l.buf.Write(p)
	}
	l.buf.Write(p[:room])
	if l.more != nil {
		l.more()
	}
	return len(p), nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}
