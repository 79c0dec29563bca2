package pattern

// kept has a bit for each byte of a number that was matched outside parentheses.
type kept [MaxLen / 64]uint64

func (k *kept) add(i int)      { k[i>>6] |= 1 << (i & 63) }
func (k *kept) has(i int) bool { return k[i>>6]>>(i&63)&1 != 0 }

// Match tells whether p matches the whole of number, which has no separators (Strip).
func (p *Pattern) Match(number []byte) bool {
	var k kept
	return p.match(number, &k)
}

// AppendKept appends what $ stands for: what of number is matched outside parentheses. ok is false, and dst unchanged, when p does
// not match.
func (p *Pattern) AppendKept(dst, number []byte) (out []byte, ok bool) {
	var k kept
	if !p.match(number, &k) {
		return dst, false
	}
	for i, c := range number {
		if k.has(i) {
			dst = append(dst, c)
		}
	}
	return dst, true
}

// match runs the program. k is zero.
func (p *Pattern) match(number []byte, k *kept) bool {
	if len(number) < p.min || len(number) > p.max {
		return false
	}
	if !p.straight {
		m := machine{number: number, kept: k}
		return m.run(p.prog, 0, 0)
	}
	for i := range p.prog {
		in := &p.prog[i]
		if !in.set.has(number[i]) {
			return false
		}
		if in.kept {
			k.add(i)
		}
	}
	return true
}

// machine is one run of a program that has a choice.
type machine struct {
	number []byte
	kept   *kept
	// failed has a bit for each instruction and position from which the rest did not match. Nothing is tried twice, which makes a
	// match linear: at most instructions x positions steps.
	failed [maxProg * (MaxLen + 1) / 64]uint64
}

// maxProg is how many instructions a pattern can become: each has a character of its own, a fork its {, a jump its comma or }.
const maxProg = MaxLen

// run matches the number from at on with the program from pc on. What is kept is noted on the way back, when the rest has matched.
func (m *machine) run(prog []inst, pc, at int) bool {
	for pc < len(prog) && prog[pc].op == jump {
		pc = int(prog[pc].to[0])
	}
	if pc == len(prog) {
		return at == len(m.number)
	}
	bit := pc*(MaxLen+1) + at
	if m.failed[bit>>6]>>(bit&63)&1 != 0 {
		return false
	}
	in := &prog[pc]
	matched := false
	if in.op == fork {
		for _, to := range in.to {
			if m.run(prog, int(to), at) {
				return true
			}
		}
	} else if at < len(m.number) && in.set.has(m.number[at]) {
		matched = in.op == more && m.run(prog, pc, at+1) || m.run(prog, pc+1, at+1)
		if matched && in.kept {
			m.kept.add(at)
		}
	}
	if !matched {
		m.failed[bit>>6] |= 1 << (bit & 63)
	}
	return matched
}
