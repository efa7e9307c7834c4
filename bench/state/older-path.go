// The delta path of the older system, written again on the library that it used: XOR with the baseline byte by byte,
// then a zstd stream of klauspost/compress with its settings; back the same way. No digest, no baseline id, no check of
// what comes out: it had none. Only for the bench (bench/state/older-system.mjs builds and runs it).
//
//	older-path LEVEL TARGET [SOURCE]
//
// Without a source the state is compressed alone, as its first messages were. Each line of input, "encode CALLS MS" or
// "decode CALLS MS", asks for a block: so many calls, and more until so many milliseconds are over. One line of JSON comes
// out for it: bytes of the message, threads, calls, and the medians of wall and of processor time (all threads, the
// collector included) in nanoseconds. What was made is brought back and compared after each block, off the clock.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Its settings.
const concurrency = 4

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

// A state, what it is coded against, and its newest message.
type pair struct {
	coder                   *coder
	source, target, message []byte
}

func (p *pair) check(back []byte) {
	if !bytes.Equal(back, p.target) {
		must(fmt.Errorf("another state came back"))
	}
}

// One block of at least so many calls, for at least so long.
func (p *pair) block(what string, calls int, least time.Duration) times {
	var used times
	start := time.Now()
	for len(used.wall) < calls || time.Since(start) < least {
		if what == "encode" {
			used.measure(func() { p.message = p.coder.encode(p.source, p.target) })
			continue
		}
		var back []byte
		used.measure(func() { back = p.coder.decode(p.source, p.message) })
		p.check(back)
	}
	if what == "encode" {
		p.check(p.coder.decode(p.source, p.message))
	}
	return used
}

// What a line asks for.
func asked(line string) (string, int, time.Duration) {
	words := strings.Fields(line)
	if len(words) != 3 || (words[0] != "encode" && words[0] != "decode") {
		must(fmt.Errorf("not understood: %s", line))
	}
	calls, err := strconv.Atoi(words[1])
	must(err)
	ms, err := strconv.Atoi(words[2])
	must(err)
	if calls < 1 {
		must(fmt.Errorf("no calls: %s", line))
	}
	return words[0], calls, time.Duration(ms) * time.Millisecond
}

func main() {
	if len(os.Args) < 3 {
		must(fmt.Errorf("usage: older-path LEVEL TARGET [SOURCE]"))
	}
	level, err := strconv.Atoi(os.Args[1])
	must(err)
	made := &pair{coder: newCoder(level)}
	made.target, err = os.ReadFile(os.Args[2])
	must(err)
	if len(os.Args) > 3 {
		made.source, err = os.ReadFile(os.Args[3])
		must(err)
	}
	made.message = made.coder.encode(made.source, made.target)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		used := made.block(asked(lines.Text()))
		must(json.NewEncoder(os.Stdout).Encode(map[string]int64{
			"bytes":   int64(len(made.message)),
			"threads": int64(runtime.GOMAXPROCS(0)),
			"calls":   int64(len(used.wall)),
			"wallNs":  median(used.wall),
			"cpuNs":   median(used.processor),
		}))
	}
	must(lines.Err())
}
