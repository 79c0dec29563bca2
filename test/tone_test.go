package test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The phones speak in tones that no other one is a multiple of.
const (
	sampleRate = 8000
	toneAlice  = 440
	toneBob    = 1030
)

// writeTone writes a tone as a WAV file of 16-bit samples, one channel.
func writeTone(t testing.TB, path string, hertz float64, seconds int) {
	t.Helper()
	n := sampleRate * seconds
	b := make([]byte, 44, 44+2*n)
	copy(b, "RIFF")
	binary.LittleEndian.PutUint32(b[4:], uint32(36+2*n))
	copy(b[8:], "WAVEfmt ")
	binary.LittleEndian.PutUint32(b[16:], 16)
	binary.LittleEndian.PutUint16(b[20:], 1) // PCM
	binary.LittleEndian.PutUint16(b[22:], 1)
	binary.LittleEndian.PutUint32(b[24:], sampleRate)
	binary.LittleEndian.PutUint32(b[28:], 2*sampleRate)
	binary.LittleEndian.PutUint16(b[32:], 2)
	binary.LittleEndian.PutUint16(b[34:], 16)
	copy(b[36:], "data")
	binary.LittleEndian.PutUint32(b[40:], uint32(2*n))
	for i := range n {
		v := int16(12000 * math.Sin(2*math.Pi*hertz*float64(i)/sampleRate))
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// readWAV returns the samples of a file; the recorders write headers only at the end, so sizes beyond the file are the file's.
func readWAV(path string) (samples []float64, rate int, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, 0, fmt.Errorf("%s is no WAV file", path)
	}
	channels := 1
	for at := 12; at+8 <= len(b); {
		id, size := string(b[at:at+4]), int(binary.LittleEndian.Uint32(b[at+4:]))
		body := b[at+8:]
		if size > len(body) || id == "data" && size == 0 {
			size = len(body)
		}
		body = body[:size]
		switch id {
		case "fmt ":
			if size < 16 {
				return nil, 0, fmt.Errorf("%s: short fmt chunk", path)
			}
			channels = int(binary.LittleEndian.Uint16(body[2:]))
			rate = int(binary.LittleEndian.Uint32(body[4:]))
			if bits := binary.LittleEndian.Uint16(body[14:]); bits != 16 {
				return nil, 0, fmt.Errorf("%s: %d bits a sample, want 16", path, bits)
			}
		case "data":
			for i := 0; i+1 < len(body); i += 2 * max(channels, 1) {
				samples = append(samples, float64(int16(binary.LittleEndian.Uint16(body[i:]))))
			}
		}
		at += 8 + size + size%2
	}
	return samples, rate, nil
}

// share is the part of the power of samples that lies at a frequency, 0 to 1, by the algorithm of Goertzel.
func share(samples []float64, rate int, hertz float64) float64 {
	var s1, s2, power float64
	c := 2 * math.Cos(2*math.Pi*hertz/float64(rate))
	for _, x := range samples {
		s1, s2 = x+c*s1-s2, s1
		power += x * x
	}
	if power == 0 {
		return 0
	}
	return 2 * (s1*s1 + s2*s2 - c*s1*s2) / (power * float64(len(samples)))
}

// heard tells how much of the loud parts of a recording is a tone: the best of its half seconds decides, because silence
// before and after the call and a jitter buffer's slips are no fault of the call's.
func heard(path string, hertz float64) (best float64, err error) {
	samples, rate, err := readWAV(path)
	if err != nil {
		return 0, err
	}
	if rate == 0 {
		return 0, fmt.Errorf("%s: no fmt chunk", path)
	}
	const loud = 500 // mean amplitude that is no comfort noise
	for window := rate / 2; len(samples) >= window; samples = samples[window:] {
		sum := 0.0
		for _, x := range samples[:window] {
			sum += math.Abs(x)
		}
		if sum/float64(window) < loud {
			continue
		}
		for _, h := range []float64{hertz * 0.99, hertz, hertz * 1.01} { // Clocks drift, and a half second has bins of 2 Hz.
			best = max(best, share(samples[:window], rate, h))
		}
	}
	return best, nil
}

// wantTone fails unless a recording has the tone and not the other.
func wantTone(t testing.TB, who, path string, tone, other float64) {
	t.Helper()
	got, err := heard(path, tone)
	if err != nil {
		t.Errorf("%s: %v", who, err)
		return
	}
	wrong, err := heard(path, other)
	if err != nil {
		t.Errorf("%s: %v", who, err)
		return
	}
	if got < 0.5 || wrong > 0.2 {
		t.Errorf("%s heard %.0f Hz with %.2f and %.0f Hz with %.2f of the power, want the first alone (%s)", who, tone, got, other, wrong, path)
	}
}

func TestTones(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tone.wav")
	writeTone(t, path, toneAlice, 2)
	for _, tc := range []struct {
		hertz    float64
		from, to float64
	}{
		{toneAlice, 0.95, 1.05},
		{toneBob, 0, 0.01},
		{2 * toneAlice, 0, 0.01},
	} {
		got, err := heard(path, tc.hertz)
		if err != nil || got < tc.from || got > tc.to {
			t.Errorf("%v Hz: got %v, %v, want %v to %v", tc.hertz, got, err, tc.from, tc.to)
		}
	}
}
