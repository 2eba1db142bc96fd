package main

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Step 1 of the lesson, text to learn from, about which nothing is known. This file makes
// documents of it, and sentences of these: the vocabulary is learnt from them, and later
// which sentence follows which.

// minDocument is how many sentences make a document in prose, where a blank
// line may be no more than the end of a paragraph: shorter ones are joined.
const minDocument = 8

// A Block is the lines between two blank lines, or a part of very many.
type Block struct {
	lines []string
	more  bool // the next block goes on with it
	prose bool
}

const (
	layoutSample = 1 << 20 // how much of a file decides whether it is prose
	blockSize    = 1 << 20 // how much of a block is kept together
	lineSize     = 1 << 20 // how much of a line

	// In prose a block goes on to the end of a sentence, but where none comes it is cut
	// after this much, between two lines, so that memory is bounded whatever the text.
	longestBlock = 4 * blockSize
	lineCost     = 16 // what a line takes beside its bytes
)

// A scanner reads text block by block.
//
// Text may be prose with line breaks inside its sentences, where a line break is no more
// than a space: if fewer than half of the lines end a sentence, and most of the others are
// gone on with by a line that begins with a small letter. Otherwise every line is one or
// several sentences. The beginning of a file decides.
type scanner struct {
	emit    func(Block)
	invalid int // bytes that were not UTF-8

	size                 int // of the block so far, in bytes
	block                Block
	held                 []Block // until it is known whether it is prose
	known, prose         bool
	read                 int // bytes
	ended, broken, total int // lines that end with a sentence; that break one; all
}

// scan reads all of r.
func (s *scanner) scan(r io.Reader) error {
	lines := bufio.NewReaderSize(r, lineSize)
	var rest []byte // of a line that was too long
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		s.read += len(line)
		if len(rest) > 0 {
			line, rest = append(rest, line...), nil
		}
		if err == bufio.ErrBufferFull {
			line, rest = cutLine(line)
			rest = bytes.Clone(rest) // the next line comes into its place
		}
		s.line(strings.TrimSpace(s.validUTF8(string(line))))
		if !s.known && (err == io.EOF || s.read >= layoutSample) {
			s.known, s.prose = true, 2*s.ended < s.total && 2*s.broken > s.total-s.ended
		}
		if err == io.EOF {
			s.endBlock(false)
			return nil
		}
	}
}

// cutLine cuts a line at its last space or, where there is none, before its last
// character, which may not be whole yet.
func cutLine(line []byte) (head, rest []byte) {
	cut := bytes.LastIndexByte(line, ' ')
	if cut <= 0 {
		for cut = len(line) - 1; cut > len(line)-utf8.UTFMax && !utf8.RuneStart(line[cut]); {
			cut--
		}
	}
	return line[:cut], line[cut:]
}

// line takes a line without its end.
func (s *scanner) line(line string) {
	if line == "" {
		s.endBlock(false)
		return
	}
	last := ""
	if n := len(s.block.lines); n > 0 {
		last = s.block.lines[n-1]
	}
	held := s.size + lineCost*len(s.block.lines)
	switch {
	case s.size >= blockSize && endsSentence(last),
		held >= blockSize && s.known && !s.prose, // each line ends a sentence
		held >= longestBlock:
		s.endBlock(true)
	}
	if !s.known {
		if s.total++; endsSentence(line) {
			s.ended++
		}
		if last != "" && !endsSentence(last) && startsLower(line) {
			s.broken++
		}
	}
	s.block.lines = append(s.block.lines, line)
	s.size += len(line)
}

// endBlock hands on what has been held back, once it is known what it is.
func (s *scanner) endBlock(more bool) {
	if len(s.block.lines) > 0 {
		s.block.more = more
		s.held = append(s.held, s.block)
		s.block, s.size = Block{}, 0
	}
	if !s.known {
		return
	}
	for _, b := range s.held {
		b.prose = s.prose
		s.emit(b)
	}
	s.held = nil
}

// Sentences cuts a block into sentences.
func (b Block) Sentences() []string {
	lines := b.lines
	if b.prose {
		lines = []string{strings.Join(lines, " ")}
	}
	var all []string
	for _, line := range lines {
		all = append(all, splitSentences(line)...)
	}
	return all
}

// EndsDocument tells whether a document that has this number of sentences ends with the
// block: at a blank line, but in prose, where that may be no more than the end of a
// paragraph, only if it has at least minDocument sentences.
func (b Block) EndsDocument(sentences int) bool {
	return !b.more && (!b.prose || sentences >= minDocument)
}

// sectionSize is how many bytes of text are worked on together, on all cores.
const sectionSize = 4 << 20

// ReadBlocks reads a file while work is at the blocks that were read before; read is how
// many bytes that makes so far. It returns how many bytes there were, and how many of
// them were not UTF-8.
func ReadBlocks(r io.Reader, work func(blocks []Block, read int)) (read, invalid int, err error) {
	type section struct {
		blocks []Block
		read   int
		lines  int
	}
	sections := make(chan section, 1)
	var s scanner
	go func() {
		var next section
		s.emit = func(b Block) {
			next.blocks = append(next.blocks, b)
			next.lines += len(b.lines)
			if s.read-next.read >= sectionSize || lineCost*next.lines >= sectionSize {
				sections <- section{blocks: next.blocks, read: s.read}
				next = section{read: s.read}
			}
		}
		err = s.scan(r)
		sections <- section{blocks: next.blocks, read: s.read}
		close(sections)
	}()
	for x := range sections {
		work(x.blocks, x.read)
	}
	return s.read, s.invalid, err
}

// validUTF8 replaces and counts the bytes that are no UTF-8.
func (s *scanner) validUTF8(line string) string {
	if utf8.ValidString(line) {
		return line
	}
	s.invalid += invalidBytes(line)
	return string([]rune(line))
}

// Openers may stand before the first word of a sentence, closers after its end.
const (
	openers = "\"'([{_*«“‘"
	closers = "\"')]}_*»”’"
)

// abbreviations end with a period that does not end a sentence.
var abbreviations = map[string]bool{
	"mr": true, "mrs": true, "ms": true, "dr": true, "prof": true, "st": true, "no": true, "vol": true,
	"fig": true, "vs": true, "cf": true, "e.g": true, "i.e": true, "viz": true,
}

// splitSentences cuts a line after each sentence: after . ! ? or …, and what
// closes quotes and brackets, if a space follows and then no small letter. A
// period does not count after an abbreviation, a single letter, or the first
// word. The full stops of Chinese and Japanese need no space.
func splitSentences(line string) []string {
	var sentences []string
	start := 0
	for i, r := range line {
		end := i + utf8.RuneLen(r)
		switch {
		case strings.ContainsRune("。！？", r):
			end += len(line[end:]) - len(strings.TrimLeft(line[end:], "」』”"))
		case strings.ContainsRune(".!?…", r):
			end += len(line[end:]) - len(strings.TrimLeft(line[end:], closers))
			next := strings.TrimLeft(line[end:], " \t")
			if len(next) == len(line[end:]) || startsLower(strings.TrimLeft(next, openers)) || r == '.' && abbreviated(line[start:i]) {
				continue
			}
		default:
			continue
		}
		if s := strings.TrimSpace(line[start:end]); s != "" {
			sentences = append(sentences, s)
		}
		start = end
	}
	if s := strings.TrimSpace(line[start:]); s != "" {
		sentences = append(sentences, s)
	}
	return sentences
}

// abbreviated tells whether the period after text is that of an abbreviation.
func abbreviated(text string) bool {
	text = strings.TrimSpace(text)
	space := strings.LastIndexAny(text, " \t")
	word := strings.TrimLeft(text[space+1:], openers)
	first, size := utf8.DecodeRuneInString(word)
	initial := size == len(word) && unicode.IsLetter(first) && word != "I"
	return space < 0 || initial || abbreviations[strings.ToLower(word)]
}

func endsSentence(line string) bool {
	r, _ := utf8.DecodeLastRuneInString(strings.TrimRight(line, closers))
	return strings.ContainsRune(".!?…。！？", r)
}

func startsLower(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLower(r)
}
