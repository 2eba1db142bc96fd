package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The ground: text in files, which is UTF-8. Some of what else there is can be told from its
// first bytes.

// asUTF8 is what r has, as UTF-8 without a byte order mark: UTF-16 that has one is
// decoded. What is no text, or compressed, is an error. It waits for the first bytes alone.
func asUTF8(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if first, _ := in.Peek(1); len(first) > 0 && (first[0] == 0 || first[0] == 0x1f || first[0] >= 0xef) {
		in.Peek(4) // there is no shorter line that begins so
	}
	first, _ := in.Peek(min(in.Buffered(), 512))
	begins := func(with string) bool { return strings.HasPrefix(string(first), with) }
	for _, kind := range []struct{ begin, what string }{
		{"\xff\xfe\x00\x00", "UTF-32: save it as UTF-8"}, {"\x00\x00\xfe\xff", "UTF-32: save it as UTF-8"},
		{"\x1f\x8b", "compressed with gzip: call it .gz"}, {"\xfd7zXZ\x00", "compressed with xz: unpack it"},
		{"BZh", "compressed with bzip2: unpack it"}, {"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it"},
		{"PK\x03\x04", "a zip archive, or an office document: unpack it, or save it as text"}, {"7z\xbc\xaf", "a 7z archive: unpack it"},
		{"%PDF-", "PDF: save it as text"}, {"PAR1", "Parquet: save it as text or JSON lines"},
	} {
		if begins(kind.begin) {
			return nil, fmt.Errorf("it is not text but %s", kind.what)
		}
	}
	switch {
	case begins("\xff\xfe"):
		return &utf16Reader{in: in, order: binary.LittleEndian}, nil
	case begins("\xfe\xff"):
		return &utf16Reader{in: in, order: binary.BigEndian}, nil
	case strings.Contains(string(first), "\x00"):
		return nil, errors.New("it is not text: it has zero bytes. If it is UTF-16, save it as UTF-8")
	case begins("\ufeff"):
		in.Discard(len("\ufeff"))
	}
	return in, nil
}

// invalidBytes is how many bytes of a text are not UTF-8. Each is read as U+FFFD.
func invalidBytes(text string) (n int) {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			n++
		}
	}
	return n
}

// A utf16Reader decodes UTF-16.
type utf16Reader struct {
	in    *bufio.Reader
	order binary.ByteOrder
	out   []byte // decoded, and not read yet
	err   error
}

// Read decodes a few characters at a time. Halves of pairs become U+FFFD.
func (r *utf16Reader) Read(p []byte) (n int, err error) {
	for len(r.out) < len(p) && r.err == nil {
		var unit rune
		if unit, r.err = r.unit(); r.err != nil {
			break
		}
		if utf16.IsSurrogate(unit) {
			next, _ := r.in.Peek(2)
			if len(next) == 2 {
				if pair := utf16.DecodeRune(unit, rune(r.order.Uint16(next))); pair != utf8.RuneError {
					unit = pair
					r.in.Discard(2)
				}
			}
		}
		if unit != '\ufeff' { // the mark
			r.out = utf8.AppendRune(r.out, unit)
		}
	}
	n = copy(p, r.out)
	r.out = r.out[:copy(r.out, r.out[n:])]
	if n == 0 {
		err = r.err
	}
	return n, err
}

// unit is the next 16 bits.
func (r *utf16Reader) unit() (rune, error) {
	var two [2]byte
	if _, err := io.ReadFull(r.in, two[:]); err == io.ErrUnexpectedEOF {
		return 0, errors.New("it is UTF-16 with an odd number of bytes, want an even one: it was cut short")
	} else if err != nil {
		return 0, err
	}
	return rune(r.order.Uint16(two[:])), nil
}
