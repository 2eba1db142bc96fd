package main

// The command pretrain, before it trains: it looks at the text, so that what is wrong with
// it is said now and not after a week.

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

// examineCorpus looks at a corpus, and at the first pairs of its first epoch.
func examineCorpus(corpus *Corpus, s *CorpusSource, vocabulary int) diagnosis {
	d := diagnosis{
		documents: len(corpus.documents) - 1, sentences: corpus.sentences.Len() - 1,
		tokens: corpus.low.Len(), unknown: corpus.Unknown,
	}
	for i := range d.documents {
		if corpus.documents[i+1]-corpus.documents[i] == 1 {
			d.single++
		}
	}
	seen := make([]bool, vocabulary)
	for i := range d.tokens {
		if id := corpus.Token(i); !seen[id] {
			seen[id] = true
			d.uses++
		}
	}
	s.MaxTokens = s.settings.MaxSeq
	s.Load(1)
	for _, p := range s.pairs[:min(len(s.pairs), samplePairs)] {
		size := corpus.Size(p.a[0], p.a[1]) + corpus.Size(p.b[0], p.b[1])
		d.pairs++
		d.offered += size
		d.cut += max(0, size-(s.length-pairSpecials))
		if p.isNext {
			d.next++
		}
	}
	return d
}

// diagnose says in a few lines what the corpus is like, and what is wrong with it.
func (c *call) diagnose(t *Trainer, corpus *Corpus) {
	s := t.Source.(*CorpusSource)
	words := len(s.Tokenizer.Vocabulary)
	d := examineCorpus(corpus, s, words)
	percentOf := func(n, of int) float64 { return 100 * ratio(float64(n), of) }
	c.note("text: %d documents, %d sentences, %d tokens, %.2f%% of them [UNK]", d.documents, d.sentences, d.tokens, percentOf(d.unknown, d.tokens))
	c.note("pairs: %d an epoch, in %.1f%% B follows A, %.1f%% of the tokens do not fit into -max-seq; %d documents are held out",
		len(s.pairs), percentOf(d.next, d.pairs), percentOf(d.cut, d.offered), d.documents-len(s.Documents))
	switch next := percentOf(d.next, d.pairs); {
	case d.single == d.documents:
		c.warn("every document is a single sentence, so no B follows its A: take the blank line after every sentence away")
	case d.pairs >= 100 && (next < 40 || next > 60):
		c.warn("in %.0f%% of the pairs B follows A, want half: %d of %d documents are a single sentence", next, d.single, d.documents)
	}
	if u := percentOf(d.unknown, d.tokens); u > 2 {
		c.warn("%.1f%% of the tokens are [UNK]: the vocabulary does not fit the text", u)
	}
	if d.tokens > 10*words && d.uses < words/4 {
		c.warn("the text has %d of the vocabulary's %d tokens: the vocabulary does not fit", d.uses, words)
	}
	if cut := percentOf(d.cut, d.offered); cut > 20 {
		c.warn("%.0f%% of the tokens do not fit: are the sentences longer than -max-seq, %d?", cut, s.length)
	}
	if len(t.HeldOut) == 0 {
		c.warn("there are fewer than 20 documents, so none is held out, and nothing will tell how well the model does on what it has not seen")
	}
}
