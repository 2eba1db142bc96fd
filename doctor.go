package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// Before training: the text is read, and looked at, so that what is wrong with it is
// said now and not after a week.

// corpora are the files and folders of a corpus: a flag that may be given several
// times.
type corpora []string

func (c *corpora) String() string { return strings.Join(*c, ", ") }

func (c *corpora) Set(name string) error {
	*c = append(*c, name)
	return nil
}

func (c *call) corpusFlag() *corpora {
	names := &corpora{}
	c.flags.Var(names, "corpus", "text `FILE`, folder, or - for standard input; several if given several times")
	return names
}

// warn writes a line that begins with "warning".
func (c *call) warn(format string, args ...any) { c.note("warning: "+format, args...) }

// reading is a function that tells how much of the text has been read: on
// a terminal in a line that is redrawn, otherwise now and then.
func (c *call) reading(what string) func(bytes int) {
	p, next := newProgress(c.stderr, 0, 0), 1<<28
	return func(bytes int) {
		switch {
		case p.terminal:
			p.redraw("%s: %d MB of text", what, bytes/1_000_000)
		case bytes >= next:
			next = bytes + 1<<28
			c.note("%s: %d MB of text", what, bytes/1_000_000)
		}
	}
}

// readTokens reads and encodes a corpus, on all cores.
func (c *call) readTokens(names corpora, t *Tokenizer) (*Corpus, error) {
	corpus, err := ReadTokens(names, c.stdin, t, c.reading("tokenizing"))
	newProgress(c.stderr, 0, 0).clear()
	if err == nil && corpus.Invalid > 0 {
		c.note("%s: %d bytes are not UTF-8 and were read as U+FFFD", names.String(), corpus.Invalid)
	}
	return corpus, err
}

// maxCounted is how many words are counted at most. Words that have come once until
// then are forgotten.
const maxCounted = 1 << 20

// countWords counts the words of a corpus, on all cores. Standard input is kept for
// the second reading.
func (c *call) countWords(names corpora, lowerCase bool) (map[string]int, error) {
	if slices.Contains(names, "-") {
		data, err := io.ReadAll(c.stdin)
		if err != nil {
			return nil, wrap("standard input", err)
		}
		c.stdin = bytes.NewReader(data)
		defer func() { c.stdin = bytes.NewReader(data) }()
	}
	counts, sum, progress := map[string]int{}, 0, c.reading("counting words")
	for _, name := range names {
		err := eachFile(name, c.stdin, func(r io.Reader) error {
			read, _, err := inBatches(r, func(blocks []block, read int) {
				addCounts(counts, blocks, lowerCase)
				progress(sum + read)
			})
			sum += read
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	newProgress(c.stderr, 0, 0).clear()
	return counts, nil
}

func addCounts(counts map[string]int, blocks []block, lowerCase bool) {
	text := &Text{}
	for _, b := range blocks {
		text.Documents = append(text.Documents, b.lines)
	}
	for word, n := range CountWords(text, lowerCase) {
		counts[word] += n
	}
	for rare := 1; len(counts) > maxCounted; rare++ {
		for word, n := range counts {
			if n <= rare {
				delete(counts, word)
			}
		}
	}
}

// loadModel reads a model folder, and says what is not in it.
func (c *call) loadModel(dir string) (*Model, *Tokenizer, error) {
	m, t, fresh, err := loadModel(dir)
	if len(fresh) > 0 {
		c.note("%s has not %s: new, and not trained", dir, strings.Join(fresh, " and "))
	}
	return m, t, err
}

// samplePairs is how many pairs are looked at.
const samplePairs = 10_000

// A diagnosis is what a corpus looks like to the training.
type diagnosis struct {
	documents, sentences, tokens, unknown int
	single                                int // documents of one sentence
	pairs, next                           int // that are looked at; whose B follows A
	offered, cut                          int // tokens of their sentences; those that there is no room for
	uses                                  int // tokens of the vocabulary that occur
}

func examineCorpus(corpus *Corpus, s *corpusSource, vocabulary int) diagnosis {
	d := diagnosis{
		documents: len(corpus.documents) - 1, sentences: corpus.sentences.len() - 1,
		tokens: corpus.low.len(), unknown: corpus.Unknown,
	}
	for i := range d.documents {
		if corpus.documents[i+1]-corpus.documents[i] == 1 {
			d.single++
		}
	}
	seen := make([]bool, vocabulary)
	for i := range d.tokens {
		if id := corpus.token(i); !seen[id] {
			seen[id] = true
			d.uses++
		}
	}
	s.MaxTokens = s.settings.MaxSeq
	s.load(1)
	for _, p := range s.pairs[:min(len(s.pairs), samplePairs)] {
		size := corpus.size(p.a[0], p.a[1]) + corpus.size(p.b[0], p.b[1])
		d.pairs++
		d.offered += size
		d.cut += max(0, size-(s.length-3))
		if p.isNext {
			d.next++
		}
	}
	return d
}

// diagnose says in a few lines what the corpus is like, and what is wrong with it.
func (c *call) diagnose(t *Trainer, corpus *Corpus) {
	s := t.Source.(*corpusSource)
	words := len(s.Tokenizer.Words)
	d := examineCorpus(corpus, s, words)
	percent := func(n, of int) float64 { return 100 * ratio(float64(n), of) }
	c.note("text: %d documents, %d sentences, %d tokens, %.2f%% of them [UNK]", d.documents, d.sentences, d.tokens, percent(d.unknown, d.tokens))
	c.note("pairs: %d an epoch, in %.1f%% B follows A, %.1f%% of the tokens do not fit into -max-seq; %d documents are held out",
		len(s.pairs), percent(d.next, d.pairs), percent(d.cut, d.offered), d.documents-len(s.Documents))
	switch next := percent(d.next, d.pairs); {
	case d.single == d.documents:
		c.warn("every document is a single sentence, so no B follows its A: take the blank line after every sentence away")
	case d.pairs >= 100 && (next < 40 || next > 60):
		c.warn("in %.0f%% of the pairs B follows A, want half: %d of %d documents are a single sentence", next, d.single, d.documents)
	}
	if u := percent(d.unknown, d.tokens); u > 2 {
		c.warn("%.1f%% of the tokens are [UNK]: the vocabulary does not fit the text", u)
	}
	if d.tokens > 10*words && d.uses < words/4 {
		c.warn("the text has %d of the vocabulary's %d tokens: the vocabulary does not fit", d.uses, words)
	}
	if cut := percent(d.cut, d.offered); cut > 20 {
		c.warn("%.0f%% of the tokens do not fit: are the sentences longer than -max-seq, %d?", cut, s.length)
	}
	if len(t.HeldOut) == 0 {
		c.warn("there are fewer than 20 documents, so none is held out, and nothing will tell how well the model does on what it has not seen")
	}
}
