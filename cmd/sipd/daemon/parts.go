package daemon

import (
	"context"
	"errors"
	"fmt"
)

// part is something that runs until it is told to stop.
type part struct {
	name string
	stop context.CancelFunc
	done chan struct{} // closed when it has ended
	err  error         // readable when done is closed
}

// group is the parts of a server in the order in which they stop.
type group struct {
	parts []*part
	ended chan *part // one that ended before it was told to
}

// maxParts is the capacity of ended, so that no part waits for a reader.
const maxParts = 16

func newGroup() *group { return &group{ended: make(chan *part, maxParts)} }

// start runs a part. It does not see the end of ctx: group.stop ends the parts one after the other.
func (g *group) start(ctx context.Context, name string, run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &part{name: name, stop: stop, done: make(chan struct{})}
	g.parts = append(g.parts, p)
	go func() {
		err := run(ctx)
		if err != nil && !(ctx.Err() != nil && errors.Is(err, context.Canceled)) {
			p.err = fmt.Errorf("%s: %w", name, err)
		}
		close(p.done)
		if ctx.Err() == nil {
			g.ended <- p
		}
	}()
}

// wait returns when ctx ends, or with an error when a part ends by itself.
func (g *group) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case p := <-g.ended:
		if p.err != nil {
			return p.err
		}
		return fmt.Errorf("%s ended by itself", p.name)
	}
}

// stop ends the parts in the order they were started and returns what went wrong in those that had run until then.
func (g *group) stop() error {
	var errs []error
	for _, p := range g.parts {
		select {
		case <-p.done: // wait has told of it
			p.stop()
			continue
		default:
		}
		p.stop()
		<-p.done
		errs = append(errs, p.err)
	}
	return errors.Join(errs...)
}
