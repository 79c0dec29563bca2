package resolve

import "slices"

// arrange puts SRV records in the order in which they are tried: by priority, and within one by drawing lots with the weights
// (RFC 2782, "Usage rules").
func arrange(records []SRVRecord, draw func(n int) int) []SRVRecord {
	rows := slices.Clone(records)
	slices.SortStableFunc(rows, func(a, b SRVRecord) int { return int(a.Priority) - int(b.Priority) })
	for start := 0; start < len(rows); {
		end, sum := start, 0
		for ; end < len(rows) && rows[end].Priority == rows[start].Priority; end++ {
			sum += rows[end].lots()
		}
		for ; start < end; start++ {
			lot, at := draw(sum), start
			for lot -= rows[at].lots(); lot >= 0; lot -= rows[at].lots() {
				at++
			}
			chosen := rows[at]
			copy(rows[start+1:at+1], rows[start:at])
			rows[start] = chosen
			sum -= chosen.lots()
		}
	}
	return rows
}

// lots is a record's share. A weight of 0 is chosen rarely beside others, but is (RFC 2782). The lots the RFC draws, from 0 to
// the sum, would favour the first record: 1 and 2 would be drawn equally often.
func (r SRVRecord) lots() int {
	const zero = 1000 // a weight of 0 weighs a thousandth of one of 1
	return max(1, int(r.Weight)*zero)
}
