package main

import (
	"bufio"
	"cmp"
	"fmt"
	"slices"
	"text/tabwriter"
)

// explain: what a model makes of a sentence or two, step by step. The demo takes a
// minute to tell how a model learns; this is for looking closely, at any model and with
// words of your own, or with a vocabulary alone, before anything is trained.

func explain(c *call) error {
	tokenizer := c.tokenizerFlags()
	layer := c.flags.Int("layer", 0, "show attention in this layer alone, 1 being the first (0: in one after the other)")
	head := c.flags.Int("head", 0, "show attention in this head alone, 1 being the first (0: the mean of all)")
	page := c.flags.String("html", "", "write pictures to `FILE`, a page for a browser, instead of tables")
	if err := c.parse(2); err != nil {
		return err
	}
	if *page != "" {
		if err := checkPage("html", *page); err != nil {
			return err
		}
	}
	if len(c.args) == 0 {
		return usagef("there is no sentence: %s", c.usage)
	}
	m, t, err := c.modelToExplain(tokenizer)
	if err != nil {
		return err
	}
	if n := len(m.encoder); *layer < 0 || *layer > n {
		return usagef("-layer is %d, want 1 to %d, or 0 for all", *layer, n)
	}
	if n := m.Config.NumAttentionHeads; *head < 0 || *head > n {
		return usagef("-head is %d, want 1 to %d, or 0 for the mean", *head, n)
	}
	c.countInvalid(c.args...)
	sentences := append(c.args, "") // no B is an empty one
	ids, segments, err := c.sequence(m, t, sentences[0], sentences[1])
	if err != nil {
		return err
	}
	if c.flags.Lookup("vocab").Value.String() != "" {
		c.note("the model is new: its vectors are random, and its guesses mean nothing")
	}
	if *page != "" {
		return c.explainInPictures(*page, m, t, Case{Tokens: ids, Segments: segments})
	}
	out := bufio.NewWriter(c.stdout)
	s := &story{Writer: out, t: t, m: m}
	var masks []Guesses
	var isNext float32
	if m.mlm != nil {
		masks, isNext = m.Fill(t, BatchOf(ids, segments), 5)[0], m.IsNext(BatchOf(ids, segments))[0]
	}
	if err := sound([]any{m.EncodeOne(ids, segments), masks, isNext}); err != nil {
		return err
	}
	s.explainInput()
	s.explainAttention(*layer, *head)
	if m.mlm != nil {
		s.explainGuesses(masks, isNext, slices.Contains(segments, 1))
	}
	return out.Flush()
}

// explainInPictures writes a page for a sequence.
func (c *call) explainInPictures(name string, m *Model, t *Tokenizer, sequence Case) error {
	r := c.newReporter(cmp.Or(c.flags.Lookup("model").Value.String(), c.flags.Lookup("vocab").Value.String()), m, t)
	r.Pair, r.Command, r.metrics = sequence, c.commandLine(), ""
	for i, id := range sequence.Tokens {
		if id == t.mask {
			sequence.Targets = append(sequence.Targets, i)
		}
	}
	if m.Config.Architecture() != preTraining || len(sequence.Targets) > 0 || slices.Contains(sequence.Segments, 1) {
		r.Cases = []Case{sequence}
	}
	return r.writeTo(name)
}

// modelToExplain loads the model or, where there is a vocabulary alone, makes a small one
// that has learnt nothing.
func (c *call) modelToExplain(tokenizer func() (*Tokenizer, error)) (*Model, *Tokenizer, error) {
	if dir := c.flags.Lookup("model").Value.String(); dir != "" && c.flags.Lookup("vocab").Value.String() == "" {
		return c.loadModel(dir)
	}
	t, err := tokenizer()
	if err != nil {
		return nil, nil, err
	}
	config := DefaultConfig()
	config.VocabSize = len(t.Vocabulary)
	config.SetSize(sizes["tiny"])
	m, err := NewModel(config, 1)
	return m, t, err
}

// explainInput is steps 1 and 2: what becomes of the text before the encoder.
func (s *story) explainInput() {
	s.say("1. Text becomes %d tokens: [CLS] comes first, [SEP] ends a sentence, ## goes on\n   with a word. The model gets their ids, and to which sentence each belongs:\n", len(s.m.batch.Tokens))
	s.tokens()

	const at = 1 // what follows [CLS]
	s.say("\n2. A token enters the model as the sum of three vectors of %d numbers. The first\n   six for %q:\n", s.m.Config.HiddenSize, s.token(at, narrowToken))
	s.embedding(at)

	// Figure 2 of the BERT paper, with a number in each box.
	s.say("\n   The first number alone, for all tokens. Where a token comes up again, its own\n   vector is the same, but not the sum:\n")
	var rows [6][]string
	for i := range s.m.batch.Tokens {
		rows[0] = append(rows[0], s.token(i, wideToken))
		for k, vector := range s.m.embeddings.Vectors(i) {
			rows[k+1] = append(rows[k+1], fmt.Sprintf("%.3f", vector[0]))
		}
	}
	s.columns(append([]string{""}, vectorNames[:]...), rows[:]...)
}

// explainAttention is step 3: who looks at whom, in one layer or in all.
func (s *story) explainAttention(layer, head int) {
	heads := s.m.Config.NumAttentionHeads
	which := fmt.Sprintf("the mean of %d heads", heads)
	if head > 0 {
		which = fmt.Sprintf("head %d of %d", head, heads)
	}
	s.say("\n3. In each layer every token looks at all tokens, itself too, and takes from\n   each the share shown. (The number after a token is its position.)")
	for i, l := range s.m.encoder {
		if layer == 0 || layer == i+1 {
			s.say("\n   Layer %d of %d, %s:\n", i+1, len(s.m.encoder), which)
			s.looks(l.attention, head)
			s.say("\n   Where its heads look, on average over the tokens:\n")
			s.heads(l.attention)
		}
	}
}

// looks shows for each token the three that it looks at most, with their positions,
// and what is left for the others.
func (s *story) looks(a *Attention, head int) {
	n := len(s.m.batch.Tokens)
	digits := len(fmt.Sprint(n - 1))
	most := narrowToken - digits // for a row to fit into a line
	table := tabwriter.NewWriter(s, 0, 0, 1, ' ', 0)
	fmt.Fprintf(table, "   %*s token\tlooks most at\tthen at\tthen at\tothers\n", digits, "")
	for i := range n {
		shares := a.Weights(i, head)
		best := descending(shares)
		others := float32(1)
		fmt.Fprintf(table, "   %*d %s", digits, i, s.token(i, most))
		for _, j := range best[:min(3, n)] {
			fmt.Fprintf(table, "\t%3.0f%% %s %d", 100*shares[j], s.token(j, most), j)
			others -= shares[j]
		}
		fmt.Fprintf(table, "\t%5.0f%%\n", 100*max(others, 0))
	}
	table.Flush()
}

// heads shows what the mean hides: the heads of a layer divide the work among them.
// Nobody tells them to, but in the demo's first layer one of them comes to look at
// the token before, and another at the token after.
func (s *story) heads(a *Attention) {
	var rows [len(habitNames) + 1][]string
	for head := 1; head <= a.heads; head++ {
		rows[0] = append(rows[0], fmt.Sprint(head))
		for k, share := range habitsOf(a, head, s.m.batch.Tokens, s.t.sep) {
			rows[k+1] = append(rows[k+1], fmt.Sprintf("%.0f%%", 100*share))
		}
	}
	s.columns(append([]string{"head"}, habitNames[:]...), rows[:]...)
}

// explainGuesses is step 4: what the two heads of pre-training make of it.
func (s *story) explainGuesses(masks []Guesses, isNext float32, pair bool) {
	if len(masks) == 0 && !pair {
		s.say("\n4. There is nothing to guess: no [MASK], and no sentence B.")
		return
	}
	s.say("\n4. The model guesses, from what the last layer has made of one token.")
	for _, guesses := range masks {
		s.say("\n   From [MASK] %d, the hidden token:\n", guesses.Position)
		guesses.print(s, "   ")
	}
	if pair {
		s.say("\n   From [CLS] 0, whether B is the next sentence:\n\n   %s", verdict(isNext))
	}
}
