// Package locator asks a program or a web service of the administrator's where a user is: one whom the tables do not know, or who has no
// binding (setting Locator). The answer is contacts, with q values; none is an answer, too. docs/guide.md has what a program or service
// is told and what it writes, docs/adr says why.
//
// Whoever asks must not wait: Find answers from a cache, else later from a goroutine of this package. Questions are bounded in number and
// time, those that are alike are asked once, and when it keeps failing nobody is kept waiting for it: for a while every question fails at
// once, then one is let through.
//
// It is not the place that says when it is asked, whether the caller may know, or what becomes of a contact: that is package target's.
// It knows nothing of tables and messages.
//
// Goroutines: one for each question that is being asked, at most maxRunning, and those of os/exec and net/http for it; Close ends them
// and waits. Sections: RFC 3261 16.5 calls what is behind it a location service.
package locator
