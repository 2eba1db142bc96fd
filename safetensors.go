package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// Step 7 of the lesson, the format in which parameters are saved. A safetensors file is
// the length of a header (8 bytes, little-endian), the header in JSON, and the numbers.
// The header has an object for each tensor:
//
//	"bert.pooler.dense.bias": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}
//
// with offsets from the end of the header, and "__metadata__" beside them. The reader
// keeps to the format's rules, so that a file can be read in one way only: no name
// twice, and the tensors cover the numbers from the first byte to the last, without a
// hole and without sharing any.

// Tensor is where a tensor lies in a file.
type Tensor struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
	base    int64    // of the offsets in the file
	file    *os.File // which OpenSafetensors has opened
}

const (
	metadataKey      = "__metadata__"
	maxHeaderLength  = 1 << 24
	maxNames         = 100_000 // of tensors; BERT-Large has 400, in a header of 40 kB
	maxShape         = 8
	headerLengthSize = 8
	bytesOfF32       = 4
)

// bytesOf is the size of an element by its dtype. Only floats of 16 and of 32
// bits can be parameters; other tensors may stand beside them.
var bytesOf = map[string]int64{
	"F32": bytesOfF32, "F16": 2, "BF16": 2,
	"F64": 8, "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}

// WriteSafetensors writes the parameters' values, in their order.
func WriteSafetensors(w io.Writer, list []*Param) error {
	var header bytes.Buffer
	header.WriteString(`{"` + metadataKey + `":{"format":"pt"}`)
	offset := int64(0)
	for _, p := range list {
		end := offset + int64(p.Size())*bytesOfF32
		entry, err := json.Marshal(Tensor{DType: "F32", Shape: p.Shape, Offsets: [2]int64{offset, end}})
		if err != nil {
			return err
		}
		fmt.Fprintf(&header, ",%q:%s", p.Name, entry)
		offset = end
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 { // so that the numbers are aligned
		header.WriteByte(' ')
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(header.Len())); err != nil {
		return err
	}
	if _, err := header.WriteTo(w); err != nil {
		return err
	}
	var buf [4096 * bytesOfF32]byte
	for _, p := range list {
		for chunk := range slices.Chunk(p.Value, len(buf)/bytesOfF32) {
			for i, v := range chunk {
				binary.LittleEndian.PutUint32(buf[i*bytesOfF32:], math.Float32bits(v))
			}
			if _, err := w.Write(buf[:len(chunk)*bytesOfF32]); err != nil {
				return err
			}
		}
	}
	return nil
}

// readSafetensorsHeader reads where each tensor is, in a file of size bytes.
// The error says which rule of the format is broken. It never asks for more
// memory than the file has bytes of header.
func readSafetensorsHeader(r io.ReaderAt, size int64) (map[string]Tensor, error) {
	var length [headerLengthSize]byte
	if _, err := r.ReadAt(length[:], 0); err != nil && err != io.EOF { // of a folder
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("the file has %d bytes, too few for a safetensors file", size)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeaderLength && n <= uint64(size) {
		return nil, fmt.Errorf("the header has %d bytes, want at most %d", n, maxHeaderLength)
	}
	if n > maxHeaderLength || int64(n) > size-headerLengthSize {
		return nil, fmt.Errorf("the header is said to have %d bytes, in a file of %d: the file was cut short, or is no safetensors file", n, size)
	}
	h := headerReader{json.NewDecoder(io.NewSectionReader(r, headerLengthSize, int64(n)))}
	h.UseNumber()
	first := make([]byte, 1)
	if _, err := r.ReadAt(first, headerLengthSize); err != nil || n == 0 || first[0] != '{' {
		return nil, errors.New("header: it does not begin with {")
	}
	base := headerLengthSize + int64(n)
	tensors := map[string]Tensor{}
	err := h.object(func(name string) error {
		if name == metadataKey {
			return wrap(metadataKey, h.object(func(string) error { _, err := h.string(); return err }))
		}
		t, err := h.tensor()
		t.base = base
		if err == nil {
			err = t.check(size - base)
		}
		tensors[name] = t
		return wrap(fmt.Sprintf("tensor %q", name), err)
	})
	if err == nil {
		err = h.end()
	}
	if err == nil {
		err = checkCover(tensors, size-base)
	}
	return tensors, wrap("header", err)
}

// checkCover sees to it that the tensors follow one another from the first of
// room bytes to the last.
func checkCover(tensors map[string]Tensor, room int64) error {
	all := make([]Tensor, 0, len(tensors))
	for _, t := range tensors {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offsets[0], b.Offsets[0]), cmp.Compare(a.Offsets[1], b.Offsets[1]))
	})
	end := int64(0)
	for _, t := range all {
		if t.Offsets[0] != end {
			return fmt.Errorf("data_offsets %v begin at %d, want %d, where the tensor before ends", t.Offsets, t.Offsets[0], end)
		}
		end = t.Offsets[1]
	}
	if end != room {
		return fmt.Errorf("the tensors end at byte %d of the numbers, the file has %d", end, room)
	}
	return nil
}

// A headerReader reads JSON piece by piece, which shows a name that stands there
// twice, and takes only what is expected, so that nothing can be nested deeply.
type headerReader struct{ *json.Decoder }

// object reads an object; value reads the value of each name.
func (h headerReader) object(value func(name string) error) error {
	if err := h.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for h.More() {
		name, err := h.string()
		if err != nil {
			return err
		}
		if len(seen) == maxNames {
			return fmt.Errorf("it has more names than %d", maxNames)
		}
		if seen[name] {
			return fmt.Errorf("%q stands there twice", name)
		}
		seen[name] = true
		if err := value(name); err != nil {
			return err
		}
	}
	return h.delim('}')
}

func (h headerReader) delim(want json.Delim) error {
	token, err := h.Token()
	if err == nil && token != want {
		err = fmt.Errorf("found %v, want %v", token, want)
	}
	return noEOF(err)
}

// string reads a string, in which whatever is not UTF-8 arrives as U+FFFD.
func (h headerReader) string() (string, error) {
	token, err := h.Token()
	s, ok := token.(string)
	switch {
	case err != nil:
		return "", noEOF(err)
	case !ok:
		return "", fmt.Errorf("found %v, want a string", token)
	case strings.Contains(s, "\uFFFD"):
		return "", fmt.Errorf("%q is not UTF-8", s)
	}
	return s, nil
}

// numbers reads an array of integers from 0 on.
func (h headerReader) numbers() ([]int64, error) {
	if err := h.delim('['); err != nil {
		return nil, err
	}
	list := []int64{}
	for h.More() {
		token, err := h.Token()
		if err != nil {
			return nil, noEOF(err)
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, fmt.Errorf("found %v, want a number", token)
		}
		n, err := number.Int64()
		if err != nil || n < 0 {
			return nil, fmt.Errorf("found %v, want a whole number from 0 to 2⁶³−1", number)
		}
		if list = append(list, n); len(list) > maxShape {
			return nil, fmt.Errorf("it has more numbers than %d", maxShape)
		}
	}
	return list, h.delim(']')
}

// tensor reads the entry of a tensor, which has these three fields.
func (h headerReader) tensor() (t Tensor, err error) {
	fields := 0
	err = h.object(func(name string) (err error) {
		var list []int64
		fields++
		switch name {
		case "dtype":
			t.DType, err = h.string()
		case "shape":
			list, err = h.numbers()
			t.Shape = make([]int, len(list))
			for i, n := range list {
				if n > math.MaxInt { // of 32 bits
					return fmt.Errorf("shape %v is too large", list)
				}
				t.Shape[i] = int(n)
			}
		case "data_offsets":
			if list, err = h.numbers(); err == nil && len(list) != 2 {
				err = fmt.Errorf("it has %d numbers, want 2", len(list))
			} else if err == nil {
				t.Offsets = [2]int64(list)
			}
		default:
			err = errors.New("there is no such field, want dtype, shape and data_offsets")
		}
		return wrap(name, err)
	})
	if err == nil && fields != 3 {
		err = errors.New("a field is missing, want dtype, shape and data_offsets")
	}
	return t, err
}

// end sees to it that nothing but spaces follows the header's object.
func (h headerReader) end() error {
	rest := bufio.NewReader(h.Buffered())
	for {
		switch b, err := rest.ReadByte(); {
		case err == io.EOF:
			if token, err := h.Token(); err != io.EOF {
				return fmt.Errorf("%v follows its end", token)
			}
			return nil
		case err != nil:
			return err
		case b != ' ':
			return fmt.Errorf("%q follows its end, want spaces alone", b)
		}
	}
}

// check looks at a tensor in a file that has room bytes of numbers.
func (t *Tensor) check(room int64) error {
	begin, end := t.Offsets[0], t.Offsets[1]
	if end < begin {
		return fmt.Errorf("data_offsets are %v, want a beginning and an end", t.Offsets)
	}
	if end > room {
		return fmt.Errorf("data_offsets are %v, but the file has %d bytes of numbers: it was cut short", t.Offsets, room)
	}
	size, ok := bytesOf[t.DType]
	if !ok {
		return fmt.Errorf("dtype is %q, want one of the format's", t.DType)
	}
	count := int64(1)
	for _, d := range t.Shape {
		if d > 0 && count > math.MaxInt64/size/int64(d) {
			return fmt.Errorf("shape %v is too large", t.Shape)
		}
		count *= int64(d)
	}
	if end-begin != count*size {
		return fmt.Errorf("data_offsets are %v, want %d bytes for shape %v of %s", t.Offsets, count*size, t.Shape, t.DType)
	}
	return nil
}

// Read reads the numbers of a tensor into values, which has room for them. Floats
// of 16 bits become the same numbers in 32.
func (t *Tensor) Read(r io.ReaderAt, values []float32) error {
	size := int(bytesOf[t.DType])
	buf := make([]byte, min(1<<16, len(values)*size))
	at := t.base + t.Offsets[0]
	for len(values) > 0 {
		n := min(len(buf)/size, len(values))
		if _, err := r.ReadAt(buf[:n*size], at); err != nil {
			return noEOF(err)
		}
		for i := range values[:n] {
			switch t.DType {
			case "F32":
				values[i] = math.Float32frombits(binary.LittleEndian.Uint32(buf[4*i:]))
			case "BF16": // the upper half of a float32
				values[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(buf[2*i:])) << 16)
			case "F16":
				values[i] = float16(binary.LittleEndian.Uint16(buf[2*i:]))
			default:
				return fmt.Errorf("it is %s, want F32, F16 or BF16", t.DType)
			}
		}
		values, at = values[n:], at+int64(n*size)
	}
	return nil
}

// float16 is the number with these bits in IEEE's binary16: a sign, 5 bits of
// exponent (bias 15) and 10 of fraction. Every one is a float32.
func float16(bits uint16) float32 {
	sign, exponent, fraction := uint32(bits>>15)<<31, uint32(bits>>10&31), uint32(bits&1023)
	switch exponent {
	case 0: // subnormal: fraction·2⁻²⁴
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 31: // infinite, or no number
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// OpenSafetensors opens a file and reads its header.
func OpenSafetensors(name string) (*os.File, map[string]Tensor, error) {
	f, err := openFile(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var tensors map[string]Tensor
		if tensors, err = readSafetensorsHeader(f, info.Size()); err == nil {
			for name, t := range tensors {
				t.file = f
				tensors[name] = t
			}
			return f, tensors, nil
		}
	}
	f.Close()
	return nil, nil, wrap(name, err)
}

// ReadTensors reads the parameters' values, but for those that are not found (nil). What is
// no number is an error.
func ReadTensors(list []*Param, found []*Tensor) error {
	for i, p := range list {
		if found[i] == nil {
			continue
		}
		err := found[i].Read(found[i].file, p.Value)
		for k, v := range p.Value {
			if err == nil && !finite(float64(v)) {
				err = fmt.Errorf("number %d is %v: the model is broken", k, v)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: tensor %s: %w", found[i].file.Name(), p.Name, err)
		}
	}
	return nil
}
