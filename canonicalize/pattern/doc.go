// Package pattern is the language of dial plan and gateway map: patterns of telephone numbers such as
// (+1212939)7[01]??, and the targets that their rules lead to, such as sip:$@gw.example.com.
//
//	pattern = 1*( atom | "(" 1*atom ")" )   several groups, not nested
//	atom    = digit | "+" | "#" | A-D | "?" | set | alt | "*" | "\" CHAR
//	set     = "[" [ "!" | "^" ] 1*( CHAR | digit "-" digit ) "]"
//	alt     = "{" seq *( "," seq ) "}"      seq = 1*( digit | "?" | "+" )
//
// A pattern matches a whole number. ? is one digit 0 to 9, a set one of its characters, a set with ! one digit that is not in
// it, * one or more digits; it may only be the last of the pattern or of its last group, and the star key is written \*.
// Letters match in either case. What is matched inside parentheses is removed; the rest is what $ stands for in the target. Where
// that could be divided in two ways, the first alternative counts, and * takes as much as it can.
//
// Compile once; a match takes time linear in pattern and number, and allocates nothing. A Set tries many patterns at once.
// Values are immutable and may be shared. The package imports nothing of the project and starts no goroutine.
package pattern
