package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"sort"
	"strings"
)

// Step 5 of the lesson, before the examples: the corpus, which is text in tokens. Training
// goes through it many times, so it is encoded once, and kept in little memory.

// A Corpus is a text in tokens, two bytes each, or four if the vocabulary has more
// than 65536. Sentence i is the tokens sentences[i] to sentences[i+1], and document
// d the sentences documents[d] to documents[d+1].
type Corpus struct {
	low, high long[uint16] // halves of the tokens; high is empty where it would be zeros
	wide      bool
	sentences rising
	documents []int

	Invalid int // bytes that were not UTF-8 and were read as U+FFFD
	Unknown int // tokens that are [UNK]

	open  int // sentences of the text in the document so far
	first int // the first document of the file
}

// NewCorpus is a corpus that has no text yet, for the ids of this tokenizer.
func NewCorpus(t *Tokenizer) *Corpus {
	c := &Corpus{wide: len(t.Vocabulary) > 1<<16, documents: []int{0}}
	c.sentences.append(0)
	return c
}

// ReadCorpus reads and encodes the files and folders that are named. progress is told
// how many bytes of text have been read.
func ReadCorpus(names []string, stdin io.Reader, t *Tokenizer, progress func(bytes int)) (*Corpus, error) {
	c, sum := NewCorpus(t), 0
	for _, name := range names {
		err := eachFile(name, stdin, func(r io.Reader) error {
			n, err := c.ReadFile(r, t, func(bytes int) { progress(sum + bytes) })
			sum += n
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return c, wrap(strings.Join(names, ", "), c.Check())
}

// ReadFile reads and encodes a file part by part, so that memory is needed for the
// tokens alone. No document goes over its end. It returns how many bytes it had.
func (c *Corpus) ReadFile(r io.Reader, t *Tokenizer, progress func(bytes int)) (int, error) {
	read, invalid, err := ReadBlocks(r, func(blocks []Block, read int) {
		c.add(t, blocks)
		progress(read)
	})
	c.endFile()
	c.Invalid += invalid
	return read, err
}

// add encodes parts of a text on all cores and appends them in their order.
func (c *Corpus) add(t *Tokenizer, blocks []Block) {
	type part struct {
		ids   []int32
		ends  []int // of sentences
		count int
	}
	parts := make([]part, len(blocks))
	parallel(len(blocks), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for _, s := range blocks[i].Sentences() {
				parts[i].count++
				if ids := t.Encode(s); len(ids) > 0 {
					parts[i].ids = append(parts[i].ids, ids...)
					parts[i].ends = append(parts[i].ends, len(parts[i].ids))
				}
			}
		}
	})
	for i, p := range parts {
		begin := 0
		for _, end := range p.ends {
			c.appendSentence(p.ids[begin:end], t)
			begin = end
		}
		if c.open += p.count; blocks[i].EndsDocument(c.open) {
			c.endDocument()
		}
	}
}

func (c *Corpus) appendSentence(ids []int32, t *Tokenizer) {
	for _, id := range ids {
		c.low.append(uint16(id))
		if c.wide {
			c.high.append(uint16(id >> 16))
		}
		if id == t.unk {
			c.Unknown++
		}
	}
	c.sentences.append(c.low.Len())
}

// endDocument ends a document, if it has any sentence.
func (c *Corpus) endDocument() {
	if n := c.sentences.Len() - 1; n > c.documents[len(c.documents)-1] {
		c.documents = append(c.documents, n)
	}
	c.open = 0
}

// endFile gives what is too short for a document at the end of a file to the one
// before it in that file.
func (c *Corpus) endFile() {
	if last := len(c.documents) - 1; c.open > 0 && last > c.first {
		c.documents[last] = c.sentences.Len() - 1
		c.open = 0
	}
	c.endDocument()
	c.first = len(c.documents) - 1
}

// Check returns an error if there is not enough to make examples of.
func (c *Corpus) Check() error {
	switch len(c.documents) - 1 {
	case 0:
		return errors.New("there is no text in it")
	case 1:
		return errors.New("it is a single document; next sentence prediction needs sentences from another one: separate documents by blank lines")
	}
	return nil
}

// Size is the number of tokens of the sentences lo to hi.
func (c *Corpus) Size(lo, hi int) int { return c.sentences.At(hi) - c.sentences.At(lo) }

// Tokens is the tokens lo to hi.
func (c *Corpus) Tokens(lo, hi int) []int32 {
	ids := make([]int32, hi-lo)
	for i := range ids {
		ids[i] = c.Token(lo + i)
	}
	return ids
}

// Token is the i-th of all.
func (c *Corpus) Token(i int) int32 {
	id := int32(c.low.At(i))
	if c.wide {
		id |= int32(c.high.At(i)) << 16
	}
	return id
}

// SentenceOf is the sentence that token i is of, one of lo to hi.
func (c *Corpus) SentenceOf(i, lo, hi int) int {
	return lo + sort.Search(hi-lo-1, func(s int) bool { return i < c.sentences.At(lo+s+1) })
}

// Sum is a fingerprint of the corpus, which training that is resumed has to find
// unchanged.
func (c *Corpus) Sum() string {
	h := sha256.New()
	for _, halves := range []*long[uint16]{&c.low, &c.high} {
		for _, chunk := range halves.chunks {
			binary.Write(h, binary.LittleEndian, chunk)
		}
	}
	for i := range c.sentences.Len() {
		binary.Write(h, binary.LittleEndian, int64(c.sentences.At(i)))
	}
	for _, n := range c.documents {
		binary.Write(h, binary.LittleEndian, int64(n))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// AllDocuments is the numbers of the documents.
func (c *Corpus) AllDocuments() []int {
	all := make([]int, len(c.documents)-1)
	for i := range all {
		all[i] = i
	}
	return all
}

// maxHeldOut is the most documents that are held out.
const maxHeldOut = 1000

// Split draws a tenth of the documents, but no more than maxHeldOut, which are held
// out of training. With fewer than 20 documents there are none, since NSP needs two.
func (c *Corpus) Split(seed uint64) (training, heldOut []int) {
	all := c.AllDocuments()
	random(seed, forSplit).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	tenth := min(len(all)/10, maxHeldOut)
	if tenth < 2 {
		return all, nil
	}
	return all[tenth:], all[:tenth]
}
