// The delta path of the older system, written again on the library that it used: XOR with the baseline byte by byte,
// then a zstd stream of klauspost/compress with its settings; back the same way. No digest, no baseline id, no check of
// what comes out: it had none. Only for the bench (bench/state/older-system.mjs builds and runs it).
//
//	older-path LEVEL REPEATS TARGET [SOURCE]
//
// Without a source the state is compressed alone, as its first messages were. One line of JSON comes out: bytes, and
// the medians of wall and of processor time (all threads, the collector included) in nanoseconds.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"strconv"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Its settings.
const concurrency = 4

// Warm-up before anything counts.
const warmCalls = 3
const warmTime = 250 * time.Millisecond

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func processorTime() int64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// As long as the longer of the two. Where one has ended the other's bytes stand.
func xorBytes(source, target []byte) []byte {
	long, short := source, target
	if len(long) < len(short) {
		long, short = short, long
	}
	out := make([]byte, len(long))
	for i := range short {
		out[i] = source[i] ^ target[i]
	}
	copy(out[len(short):], long[len(short):])
	return out
}

type coder struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	room    bytes.Buffer
}

func newCoder(level int) *coder {
	made := &coder{}
	var err error
	made.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithEncoderConcurrency(concurrency))
	must(err)
	made.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(concurrency))
	must(err)
	return made
}

func (c *coder) encode(source, target []byte) []byte {
	delta := target
	if source != nil {
		delta = xorBytes(source, target)
	}
	c.room.Reset()
	c.encoder.Reset(&c.room)
	_, err := c.encoder.Write(delta)
	must(err)
	must(c.encoder.Close())
	return append([]byte(nil), c.room.Bytes()...)
}

func (c *coder) decode(source, message []byte) []byte {
	must(c.decoder.Reset(bytes.NewReader(message)))
	delta, err := io.ReadAll(c.decoder)
	must(err)
	if source == nil {
		return delta
	}
	return xorBytes(source, delta)
}

type times struct{ wall, processor []int64 }

func (t *times) measure(call func()) {
	processor, start := processorTime(), time.Now()
	call()
	t.wall = append(t.wall, time.Since(start).Nanoseconds())
	t.processor = append(t.processor, processorTime()-processor)
}

func median(values []int64) int64 {
	sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
	return values[len(values)/2]
}

func main() {
	if len(os.Args) < 4 {
		must(fmt.Errorf("usage: older-path LEVEL REPEATS TARGET [SOURCE]"))
	}
	level, err := strconv.Atoi(os.Args[1])
	must(err)
	repeats, err := strconv.Atoi(os.Args[2])
	must(err)
	target, err := os.ReadFile(os.Args[3])
	must(err)
	var source []byte
	if len(os.Args) > 4 {
		source, err = os.ReadFile(os.Args[4])
		must(err)
	}
	c := newCoder(level)
	var encoding, decoding times
	var message, back []byte
	start := time.Now()
	for call, warm := 0, 0; call < repeats; {
		counted := warm >= warmCalls && time.Since(start) > warmTime
		used := [2]*times{{}, {}}
		if counted {
			used = [2]*times{&encoding, &decoding}
			call++
		} else {
			warm++
		}
		used[0].measure(func() { message = c.encode(source, target) })
		used[1].measure(func() { back = c.decode(source, message) })
		if !bytes.Equal(back, target) {
			must(fmt.Errorf("another state came back"))
		}
	}
	must(json.NewEncoder(os.Stdout).Encode(map[string]int64{
		"bytes":        int64(len(message)),
		"encodeWallNs": median(encoding.wall),
		"encodeCpuNs":  median(encoding.processor),
		"decodeWallNs": median(decoding.wall),
		"decodeCpuNs":  median(decoding.processor),
		"repeats":      int64(repeats),
		"threads":      int64(runtime.GOMAXPROCS(0)),
	}))
}
