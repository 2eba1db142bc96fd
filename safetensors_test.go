package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// half and upperHalf are x in 16 bits; x has to be a number that fits.
func half(x float32) uint16 {
	for bits := range 1 << 16 {
		if float16(uint16(bits)) == x {
			return uint16(bits)
		}
	}
	panic(fmt.Sprint(x, " is no float16"))
}

func upperHalf(x float32) uint16 { return uint16(math.Float32bits(x) >> 16) }

// A file in floats of 16 bits is read as the numbers that they are.
func TestFloatsOf16Bits(t *testing.T) {
	for bits, want := range map[uint16]float32{
		0: 0, 0x3c00: 1, 0xc000: -2, 0x3555: 0x1.554p-2, 0x7bff: 65504, 0x0001: 0x1p-24, 0x83ff: -0x1.ff8p-15, 0x0400: 0x1p-14,
		0x7c00: float32(math.Inf(1)), 0xfc00: float32(math.Inf(-1)),
	} {
		equal(t, float16(bits), want)
	}
	if x := float16(0x7e00); x == x {
		t.Errorf("0x7e00 is %v, want no number", x)
	}
	dir, m := savedModel(t)
	for _, kind := range []struct {
		dtype  string
		encode func(float32) uint16
	}{{"F16", half}, {"BF16", upperHalf}} {
		want := slices.Clone(m.Value)
		for i := range want { // few numbers, that both can hold
			want[i] = float32(int(want[i]*8)) / 8
		}
		codes := map[float32]uint16{}
		var header strings.Builder
		var numbers []byte
		at := 0
		for i, p := range m.List {
			fmt.Fprintf(&header, `%c"%s":{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, "{,"[min(i, 1)], p.Name, kind.dtype,
				strings.ReplaceAll(fmt.Sprint(p.Shape), " ", ","), 2*at, 2*(at+p.Size()))
			for _, x := range want[at : at+p.Size()] {
				if _, ok := codes[x]; !ok {
					codes[x] = kind.encode(x)
				}
				numbers = binary.LittleEndian.AppendUint16(numbers, codes[x])
			}
			at += p.Size()
		}
		header.WriteString("}")
		check(t, os.WriteFile(filepath.Join(dir, modelFile), append([]byte(safetensorsWith(header.String(), 0)), numbers...), 0o666))
		loaded, _, _, err := LoadModel(dir)
		check(t, err)
		equal(t, loaded.Value, want)
	}
}

// From a file of an encoder alone, or of one with a single head, the other heads are
// new, and that is said; but a head of which a part is missing is an error.
func TestMissingHeads(t *testing.T) {
	for _, c := range []struct {
		without []string // beginnings of names
		want    string
	}{
		{nil, ""},
		{[]string{"cls."}, "the MLM head and the NSP head"},
		{[]string{"cls.", "bert.pooler."}, "the pooler and the MLM head and the NSP head"},
		{[]string{"cls.seq", "bert.pooler."}, "the pooler and the NSP head"},
		{[]string{"cls.seq_relationship.bias"}, "error: tensor cls.seq_relationship.bias is missing"},
		{[]string{"bert.encoder.layer.1."}, "error: tensor bert.encoder.layer.1.attention.self.query.weight is missing"},
	} {
		dir, m := savedModel(t)
		var list []*Param
		for _, p := range m.List {
			if !slices.ContainsFunc(c.without, func(prefix string) bool { return strings.HasPrefix(p.Name, prefix) }) {
				list = append(list, p)
			}
		}
		var file bytes.Buffer
		check(t, WriteSafetensors(&file, list))
		check(t, os.WriteFile(filepath.Join(dir, modelFile), file.Bytes(), 0o666))
		status, _, stderr := runHere("", "explain", "-model", dir, "[MASK]")
		if message, failed := strings.CutPrefix(c.want, "error: "); failed {
			if status != exitFailed || !strings.Contains(stderr, message) {
				t.Errorf("without %v: exit status %d, %s", c.without, status, stderr)
			}
			continue
		}
		if status != exitDone || c.want == "" && stderr != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("without %v: exit status %d, %s", c.without, status, stderr)
		}
		for command, part := range map[string]string{"fill": theMLMHead, "next": theNSPHead} { // which would guess
			status, stdout, stderr := runHere("a\tb [MASK]\n", command, "-model", dir)
			if strings.Contains(c.want, part) && (status != exitFailed || stdout != "" || !strings.Contains(stderr, "without which this command can only guess")) {
				t.Errorf("%s without %v: exit status %d, %s%s", command, c.without, status, stdout, stderr)
			}
		}
		loaded, _, _, err := LoadModel(dir)
		check(t, err)
		for i, p := range m.List {
			kept := slices.Contains(list, p)
			if got := loaded.List[i].Value; kept && !slices.Equal(got, p.Value) || !kept && len(p.Shape) == 2 && slices.Max(got) == 0 {
				t.Errorf("without %v: %s is %v …", c.without, p.Name, got[:2])
			}
		}
	}
}

// A model that was saved as a pickle is refused, with the line that converts it; and
// so is one whose config.json asks for what this BERT is not.
func TestWhatIsNotRead(t *testing.T) {
	dir, _ := savedModel(t)
	check(t, os.Rename(filepath.Join(dir, modelFile), filepath.Join(dir, "pytorch_model.bin")))
	if _, _, _, err := LoadModel(dir); err == nil || !strings.Contains(err.Error(), "python3 -c") || !strings.Contains(err.Error(), "pytorch_model.bin") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %v", err)
	}
	for field, want := range map[string]string{
		`"position_embedding_type": "relative_key"`: `position_embedding_type is "relative_key"`,
		`"add_cross_attention": true`:               "add_cross_attention is true",
		`"pruned_heads": {"0": [1]}`:                "pruned_heads has layers",
		`"quantization_config": {"bits": 8}`:        "quantization_config is there",
		`"is_decoder": true`:                        "is_decoder is true",
	} {
		dir, _ := savedModel(t)
		changeFile(t, dir, configFile, replace("{", "{"+field+","))
		if _, _, _, err := LoadModel(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", field, err)
		}
	}
}

// No file makes the reader go wrong: what it accepts lies inside the file.
func FuzzSafetensors(f *testing.F) {
	var file bytes.Buffer
	check(f, WriteSafetensors(&file, []*Param{{Name: "a", Shape: []int{2, 2}, Value: make([]float32, 4)}, {Name: "b", Shape: []int{1}, Value: make([]float32, 1)}}))
	f.Add(file.Bytes())
	for _, header := range []string{`{}`, `{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,16]}}`, `{"a":{"dtype":"F32","shape":[],"data_offsets":[-4,0]}}`} {
		f.Add(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, err := readSafetensorsHeader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for name, info := range tensors {
			if info.DType != "F32" {
				continue
			}
			n := info.Offsets[1] - info.Offsets[0]
			if n > int64(len(data)) {
				t.Fatalf("%s has %d bytes in a file of %d", name, n, len(data))
			}
			check(t, info.Read(bytes.NewReader(data), make([]float32, n/bytesOfF32)))
		}
	})
}
