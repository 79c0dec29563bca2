package resolve

import (
	"fmt"
	"slices"
)

// arrange puts SRV records in the order in which they are tried: by priority, and within one by drawing lots with the weights
// (RFC 2782, "Usage rules"); without draw the heaviest come first.
func arrange(records []SRVRecord, draw func(n int) int) []SRVRecord {
	rows := slices.Clone(records)
	slices.SortStableFunc(rows, func(a, b SRVRecord) int { return int(a.Priority) - int(b.Priority) })
	for start := 0; start < len(rows); {
		end, sum := start, 0
		for ; end < len(rows) && rows[end].Priority == rows[start].Priority; end++ {
			sum += rows[end].lots()
		}
		for ; start < end; start++ {
			at := start
			if draw == nil {
				for i := start; i < end; i++ {
					if rows[i].lots() > rows[at].lots() {
						at = i
					}
				}
			} else {
				lot := draw(sum)
				for lot -= rows[at].lots(); lot >= 0; lot -= rows[at].lots() {
					at++
				}
			}
			chosen := rows[at]
			copy(rows[start+1:at+1], rows[start:at])
			rows[start] = chosen
			sum -= chosen.lots()
		}
	}
	return rows
}

// share is how often a record is the first to be tried of those of its priority.
func share(rows []SRVRecord, of SRVRecord) float64 {
	sum := 0
	for _, r := range rows {
		if r.Priority == of.Priority {
			sum += r.lots()
		}
	}
	return float64(of.lots()) / float64(sum)
}

// Percent writes a share; what is not nothing does not look like it.
func Percent(share float64) string {
	switch {
	case share > 0 && share < 0.001:
		return "below 0.1 %"
	case share < 1 && share > 0.999:
		return "above 99.9 %"
	}
	return fmt.Sprintf("%.3g %%", 100*share)
}

// lots is what a record weighs. A weight of 0 is chosen rarely beside others, but is.
//
// Deviates from RFC 2782 all: the lots its example draws, from 0 to the sum of the weights, would favour the first record: of weights 1
// and 2 both would be drawn equally often, and a weight of 0 beside one of 1 in half of all cases.
func (r SRVRecord) lots() int {
	const zero = 1000 // a weight of 0 weighs a thousandth of one of 1
	return max(1, int(r.Weight)*zero)
}
