package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Before step 5: the corpus. A file of text becomes documents of sentences, and
// these become tokens. Nothing else is known about the text.

// A Text is documents of sentences.
type Text struct {
	Documents [][]string
	Invalid   int // bytes that were not UTF-8 and were read as U+FFFD
}

// minDocument is how many sentences make a document in prose, where a blank
// line may be no more than the end of a paragraph: shorter ones are joined.
const minDocument = 8

// ReadCorpus reads a file of text, all files of a folder and the folders in it,
// or, by the name of -, standard input. A file whose name ends with .gz is
// decompressed. No document goes over the end of a file.
func ReadCorpus(name string, stdin io.Reader) (*Text, error) {
	if name == "-" {
		text, err := ReadText(stdin)
		return text, wrap("standard input", err)
	}
	all := &Text{}
	err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := readTextFile(path)
		if err != nil {
			return wrap(path, err)
		}
		all.Documents = append(all.Documents, text.Documents...)
		all.Invalid += text.Invalid
		return nil
	})
	return all, err
}

func readTextFile(name string) (*Text, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !strings.HasSuffix(name, ".gz") {
		return ReadText(f)
	}
	decompressed, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return ReadText(decompressed)
}

// ReadText reads text. A blank line ends a document. If most lines end with
// a sentence, every line is one or several sentences. Otherwise it is prose
// with line breaks inside its sentences: a line break is a space there, and a
// blank line ends a document only if it has at least minDocument sentences.
func ReadText(r io.Reader) (*Text, error) {
	t := &Text{}
	var blocks [][]string // lines between blank lines
	var block []string
	ended, broken, total := 0, 0, 0 // lines that end with a sentence; that break one; all
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		line = strings.TrimSpace(t.validUTF8(line))
		if line != "" {
			if total++; endsSentence(line) {
				ended++
			}
			if len(block) > 0 && !endsSentence(block[len(block)-1]) && startsLower(line) {
				broken++
			}
			block = append(block, line)
		}
		if len(block) > 0 && (line == "" || err == io.EOF) {
			blocks = append(blocks, block)
			block = nil
		}
		if err == io.EOF {
			break
		}
	}
	prose := 2*ended < total && 2*broken > total-ended
	var document []string
	for _, block := range blocks {
		if prose {
			block = []string{strings.Join(block, " ")}
		}
		for _, line := range block {
			document = append(document, splitSentences(line)...)
		}
		if !prose || len(document) >= minDocument {
			t.Documents = append(t.Documents, document)
			document = nil
		}
	}
	if len(document) > 0 { // what was too short at the end goes to the one before
		if n := len(t.Documents); n > 0 {
			t.Documents[n-1] = append(t.Documents[n-1], document...)
		} else {
			t.Documents = [][]string{document}
		}
	}
	return t, nil
}

// validUTF8 replaces and counts the bytes that are no UTF-8.
func (t *Text) validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			t.Invalid++
		}
		b.WriteRune(r)
	}
	return b.String()
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

// eachPart calls use for the lines of r, one after the other. A long line comes in
// parts that end after a space, so that the tokens are the same, and the memory
// that is needed grows with the longest word but not with the line. at is where in
// its line a part begins. The last line need not end.
func eachPart(r io.Reader, use func(part string, at int)) error {
	in := bufio.NewReaderSize(r, 1<<16)
	var rest []byte // of the line, not used yet
	at := 0
	for {
		piece, err := in.ReadSlice('\n')
		space := bytes.LastIndexByte(piece, ' ')
		cut := len(rest) + space + 1
		rest = append(rest, piece...)
		switch {
		case err == nil || err == io.EOF && at+len(rest) > 0:
			use(strings.TrimSuffix(string(rest), "\n")+"\n", at)
			rest, at = rest[:0], 0
		case err == bufio.ErrBufferFull && space >= 0:
			use(string(rest[:cut]), at)
			rest, at = append(rest[:0], rest[cut:]...), at+cut
		}
		if err != nil && err != bufio.ErrBufferFull {
			return ignoreEOF(err)
		}
	}
}

// A Corpus is a text in tokens. Sentence i is tokens[sentences[i]:sentences[i+1]],
// and document d the sentences documents[d] to documents[d+1].
type Corpus struct {
	tokens    []int32
	sentences []int
	documents []int
}

// NewCorpus encodes a text. It leaves out what has no token.
func NewCorpus(text *Text, t *Tokenizer) (*Corpus, error) {
	encoded := make([]struct {
		tokens []int32
		ends   []int // of the sentences
	}, len(text.Documents))
	parallel(len(encoded), 1, func(lo, hi int) {
		for d := lo; d < hi; d++ {
			e := &encoded[d]
			for _, s := range text.Documents[d] {
				before := len(e.tokens)
				if e.tokens = t.appendIDs(e.tokens, s); len(e.tokens) > before {
					e.ends = append(e.ends, len(e.tokens))
				}
			}
		}
	})
	total := 0
	for _, e := range encoded {
		total += len(e.tokens)
	}
	c := &Corpus{tokens: make([]int32, 0, total), sentences: []int{0}, documents: []int{0}}
	for d := range encoded {
		e := &encoded[d]
		for _, end := range e.ends {
			c.sentences = append(c.sentences, len(c.tokens)+end)
		}
		c.tokens = append(c.tokens, e.tokens...)
		e.tokens = nil
		if len(e.ends) > 0 {
			c.documents = append(c.documents, len(c.sentences)-1)
		}
	}
	switch len(c.documents) - 1 {
	case 0:
		return nil, errors.New("there is no text in it")
	case 1:
		return nil, errors.New("it is a single document; next sentence prediction needs sentences from another one: separate documents by blank lines")
	}
	return c, nil
}

// span is the tokens of sentences lo to hi.
func (c *Corpus) span(lo, hi int) []int32 {
	return c.tokens[c.sentences[lo]:c.sentences[hi]]
}

// AllDocuments is the numbers of the documents.
func (c *Corpus) AllDocuments() []int {
	all := make([]int, len(c.documents)-1)
	for i := range all {
		all[i] = i
	}
	return all
}

// Split draws a tenth of the documents, which are held out of training. With
// fewer than 20 documents there are none, since NSP needs two.
func (c *Corpus) Split(seed uint64) (training, heldOut []int) {
	all := c.AllDocuments()
	random(seed, forSplit).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	tenth := len(all) / 10
	if tenth < 2 {
		return all, nil
	}
	return all[tenth:], all[:tenth]
}
