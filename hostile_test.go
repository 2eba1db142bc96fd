package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// safetensorsWith is a file with this header and so many bytes of numbers.
func safetensorsWith(header string, numbers int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("\x00", numbers)
}

// manyNames are the entries of a JSON object of n names, each with this value.
func manyNames(n int, value string) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, `"%d":%s,`, i, value)
	}
	return strings.TrimSuffix(all.String(), ",")
}

// hostileFiles are files that ask for what cannot be, by the file of a model folder
// in whose place they are put, with what the error says.
// If size is given, the file goes on with zeros to there.
func hostileFiles() []hostileFile { // no variable, which the program would have in its memory, too
	return []hostileFile{
		{modelFile, "\xff\xff\xff\xff\xff\xff\xff\x7f{}", "9223372036854775807 bytes", 0},
		{modelFile, "\x00\xe1\xf5\x05\x00\x00\x00\x00{", "100000000 bytes, in a file of 9", 0},
		{modelFile, "\x00\xe1\xf5\x05\x00\x00\x00\x00{\"", "the header has 100000000 bytes, want at most 16777216", 1 << 30},
		{modelFile, "\x00\x00\x00\x01\x00\x00\x00\x00{\"", "it is not JSON", 1 << 30},
		{modelFile, safetensorsWith("{"+manyNames(200_000, `{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)+"}", 0), "more names than 100000", 0},
		{modelFile, safetensorsWith(`{"__metadata__":{`+manyNames(1_000_000, `""`)+"}}", 0), "more names than 100000", 0},
		{modelFile, safetensorsWith(`{"a":{"shape":[`+strings.Repeat("1,", 5_000_000)+"1]}}", 0), "more numbers than 8", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,4]}}`, 4), "too large", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}`, 4), "too large", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), `"a" stands there twice`, 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}`, 4), `"dtype" stands there twice`, 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4), "a beginning and an end", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]}}`, 4), "cut short", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775808]}}`, 4), "want a whole number", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "begin at 4, want 0", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "begin at 0, want 4", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 5), "end at byte 4 of the numbers, the file has 5", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}`, 4), `dtype is "F31"`, 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, 4), "found 1.5", 0},
		{modelFile, safetensorsWith(`{"a":{"dtype":"F32","shape":[1]}}`, 4), "a field is missing", 0},
		{modelFile, safetensorsWith(`{"a":`+strings.Repeat("[", 100_000), 0), "found [, want {", 0},
		{modelFile, safetensorsWith(`{"__metadata__":{"a":`+strings.Repeat(`{"a":`, 100_000), 0), "want a string", 0},
		{modelFile, safetensorsWith(`{} {}`, 0), "follows its end", 0},
		{modelFile, safetensorsWith("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4), "is not UTF-8", 0},
		{modelFile, safetensorsWith(`{"../../a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "is missing", 0},
		{configFile, `{"vocab_size":37,"hidden_size":1000000000000,"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":28}`, "hidden_size is 1000000000000", 0},
		{configFile, `{"vocab_size":37,"hidden_size":20,"num_hidden_layers":2,"num_attention_heads":0,"intermediate_size":28}`, "num_attention_heads is 0", 0},
		{configFile, `{"vocab_size":1048576,"hidden_size":65536,"num_hidden_layers":1024,"num_attention_heads":4,"intermediate_size":262144}`, "has shape [37 20], want [1048576 65536]", 0},
		{configFile, `{"vocab_size":37,"hidden_size":1e400}`, "hidden_size: found number 1e400 at byte 36, want a whole number", 0},
		{configFile, strings.Repeat("[", 1<<20), "too deeply nested", 0},
		{configFile, "{", "it has 209715200 bytes, want at most 1048576", 200 << 20},
		{tokenizerConfigFile, strings.Repeat(`{"a":`, 200_000), "too deeply nested", 0},
		{vocabFile, strings.Repeat("a", 1<<20), "line 1 has 1048576 bytes, want a word", 0},
		{vocabFile, strings.Repeat("a\n", 5_000_000), "more words than 1048576", 0},
		{vocabFile, "a", "it is not text", 200 << 20},
		{tokenizerFile, "{", "it has 314572800 bytes, want at most 33554432", 300 << 20},
	}
}

type hostileFile struct {
	file, content, want string
	size                int64
}

// No file makes the program fail otherwise than it should: exit status 1 and a line
// that names the file, with at most 100 MB of memory.
func TestHostileFiles(t *testing.T) {
	most, what := uint64(0), ""
	for _, c := range hostileFiles() {
		dir, _ := savedModel(t)
		name := filepath.Join(dir, c.file)
		check(t, os.WriteFile(name, []byte(c.content), 0o666))
		if c.size > 0 {
			check(t, os.Truncate(name, c.size))
		}
		memory := filepath.Join(dir, "memory")
		code, _, stderr := runProgram(t, []string{memoryFile + "=" + memory}, "", "fill", "-model", dir, "[MASK]")
		if code != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, dir) || !strings.Contains(stderr, c.file) || !strings.Contains(stderr, c.want) {
			t.Errorf("%s with %.60q: exit status %d, %.300s; want a line with %s", c.file, c.content, code, stderr, c.want)
		}
		data, err := os.ReadFile(memory)
		check(t, err)
		var bytes uint64
		if _, err := fmt.Sscan(string(data), &bytes); err != nil || bytes > 100_000_000 {
			t.Errorf("%s with %.60q: %s, want at most 100 MB", c.file, c.content, data)
		}
		if bytes > most {
			most, what = bytes, fmt.Sprintf("%s, for %s with %.60q", data, c.file, c.content)
		}
	}
	t.Logf("at most %s", what)
}

// A checkpoint of which any byte is changed, or that is cut off anywhere, is never
// loaded, and what is wrong is said; nor does a model folder make the program go wrong.
func TestEveryByteOfACheckpoint(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	if status, _, stderr := runHere("", smallRun(t, dir, "-out", out, "-steps", "2", "-log-every", "2")...); status != exitDone {
		t.Fatal(stderr)
	}
	checkpoint := filepath.Join(out, "checkpoint-2-finished")
	if _, err := loadCheckpoint(checkpoint); err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, file := range append([]string{trainingFile}, checkpointFiles...) {
		name := filepath.Join(checkpoint, file)
		sound, err := os.ReadFile(name)
		check(t, err)
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		check(t, err)
		for i := range sound {
			bytes++
			change := []byte{sound[i] ^ byte(1<<(i%8))}
			_, err := f.WriteAt(change, int64(i))
			check(t, err)
			if _, err := loadCheckpoint(checkpoint); err == nil || !strings.Contains(err.Error(), file) {
				t.Fatalf("byte %d of %s is changed, and the error is %v", i, file, err)
			}
			if file == configFile || file == modelFile && i < 4000 && i%7 == 0 {
				LoadModel(checkpoint)
			}
			_, err = f.WriteAt(sound[i:i+1], int64(i))
			check(t, err)
		}
		for n := len(sound) - 1; n >= 0; n-- {
			check(t, f.Truncate(int64(n)))
			if _, err := loadCheckpoint(checkpoint); err == nil || !strings.Contains(err.Error(), file) {
				t.Fatalf("%s is cut after %d bytes, and the error is %v", file, n, err)
			}
			if n%7 == 0 {
				LoadModel(checkpoint)
			}
		}
		check(t, f.Close())
		check(t, os.WriteFile(name, sound, 0o666))
	}
	_, err := loadCheckpoint(checkpoint)
	check(t, err)
	t.Log(fmt.Sprint(bytes, " bytes"))
}
