// Package answers answers what a decision has to know that no table says (target.Question): DNS knows the SIP addresses of a number
// (setting EnumRoot, RFC 6116), a program or web service where somebody is (setting Locator). Package resolve and package locator ask
// them; here is what their answers mean to a decision: an error is no answer, and order and preference of ENUM are places.
//
// It decides nothing: when something is asked, and what becomes of an answer, is package target's. It keeps the Locator of the
// settings, which may change while calls wait for the one before.
//
// It starts no goroutine; those of resolve and locator bring the answers.
package answers
