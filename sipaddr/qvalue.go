package sipaddr

import "errors"

var errQ = errors.New("q value is not a number from 0 to 1 with at most three decimals, such as 0.5")

// ParseQ reads a qvalue (RFC 3261 25.1) in thousandths, 0 to 1000.
func ParseQ(text []byte) (milli int, err error) {
	if len(text) == 0 || len(text) > len("0.000") || text[0] != '0' && text[0] != '1' {
		return 0, errQ
	}
	milli = int(text[0]-'0') * 1000
	if len(text) > 1 && text[1] != '.' {
		return 0, errQ
	}
	unit := 100
	for i := 2; i < len(text); i++ {
		if text[i]-'0' > 9 {
			return 0, errQ
		}
		milli += int(text[i]-'0') * unit
		unit /= 10
	}
	if milli > 1000 {
		return 0, errQ
	}
	return milli, nil
}

// AppendQ appends a q value given in thousandths, in its shortest form: "1", "0.5", "0.25". Values outside 0 to 1000
// become the nearest of them.
func AppendQ(dst []byte, milli int) []byte {
	switch {
	case milli >= 1000:
		return append(dst, '1')
	case milli <= 0:
		return append(dst, '0')
	}
	dst = append(dst, '0', '.', byte('0'+milli/100))
	if milli%100 != 0 {
		dst = append(dst, byte('0'+milli/10%10))
		if milli%10 != 0 {
			dst = append(dst, byte('0'+milli%10))
		}
	}
	return dst
}
