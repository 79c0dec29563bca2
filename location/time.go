package location

import "time"

// Time is a moment in Unix nanoseconds, 0 for none: a third of a time.Time, of which a million bindings hold two each.
//
// It is read from the process's steady clock: the wall clock of the start, carried on by the monotonic clock. A binding lives as
// long as it was promised although somebody sets the wall clock meanwhile. Only what is written for others, and read from
// them, is wall time: Wall and FromWall translate.
type Time int64

// origin ties the steady clock to the wall clock; it has both readings.
var origin = time.Now()

// steady returns t on the steady clock. Sub takes the monotonic readings where t has one, which is every time.Now; another t
// (a test's date) counts as it stands.
func steady(t time.Time) int64 { return origin.UnixNano() + int64(t.Sub(origin)) }

// At returns t as a Time; the zero time.Time is 0.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(steady(t))
}

// FromWall returns the moment that somebody else, such as a row, calls t; now is the present one. The zero time.Time is 0.
func FromWall(t, now time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixNano() - int64(stepped(now)))
}

// Wall returns what others call t, in UTC; now is the present moment. It is the zero time.Time for 0.
func (t Time) Wall(now time.Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)+int64(stepped(now))).UTC()
}

// stepped is how far the wall clock has been set since the process started, in whole seconds: what the two readings of now differ
// by otherwise is noise, which would make a row differ from the one it was written from.
func stepped(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - steady(now)).Round(time.Second)
}

// IsZero tells whether t is none.
func (t Time) IsZero() bool { return t == 0 }

// Before tells whether t is earlier than u.
func (t Time) Before(u time.Time) bool { return int64(t) < steady(u) }

// After tells whether t is later than u.
func (t Time) After(u time.Time) bool { return int64(t) > steady(u) }

// Sub returns how much later than u it is.
func (t Time) Sub(u time.Time) time.Duration { return time.Duration(int64(t) - steady(u)) }
