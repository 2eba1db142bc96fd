package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// The commands, what a run keeps for its page, report.html: what neither the model nor
// metrics.jsonl will tell when it is over.

const pastRunFile = "report.json"

// A pastRun is report.json: what a page shows and neither the model nor its metrics tell.
type pastRun struct {
	Command  string      `json:"command"` // that repeats it
	Kernels  string      `json:"kernels"` // the processor's instructions
	Workers  int         `json:"workers"`
	Settings *Settings   `json:"settings"`
	Pair     Case        `json:"pair"`    // followed on its way through the model
	Words    []int32     `json:"words"`   // for the map
	Cases    []Case      `json:"cases"`   // examples: of pre-training, or of the task
	Masked   Case        `json:"masked"`  // the text whose first [MASK] is watched,
	Moments  []moment    `json:"moments"` // and what was guessed for it
	Before   *look       `json:"before"`  // the embeddings as they were at first
	Study    []StudyRow  `json:"study"`
	Classes  *ClassScore `json:"classes"`
	Score    string      `json:"score"` // in words
}

// A moment is the best guesses after a step.
type moment struct {
	Step int     `json:"step"`
	Best []Guess `json:"best"`
}

// A look is what the embeddings are at one time: of each token of the pair the first numbers of
// Embeddings.Vectors, and where the words are on their map.
type look struct {
	Vectors [][5][]float32 `json:"vectors"`
	Points  [][2]float64   `json:"points"`
}

// shownCases is how many examples of a task are shown.
const shownCases = 3

// shownNumbers is how many numbers of a vector are shown.
const shownNumbers = 32

// lookAt looks at a model.
func (p *pastRun) lookAt(m *Model) *look {
	l := &look{}
	m.EncodeOne(p.Pair.Tokens, p.Pair.Segments)
	for i := range p.Pair.Tokens {
		vectors := m.embeddings.Vectors(i)
		for k, v := range vectors {
			vectors[k] = slices.Clone(v[:min(shownNumbers, len(v))])
		}
		l.Vectors = append(l.Vectors, vectors)
	}
	if len(p.Words) > 0 {
		l.Points = components(wordVectors(m, p.Words))
	}
	return l
}

func wordVectors(m *Model, ids []int32) (vectors [][]float32) {
	for _, id := range ids {
		vectors = append(vectors, m.embeddings.Word.Row(id))
	}
	return vectors
}

// commonWords are the commonest whole words of a vocabulary. Where nothing tells how common a
// word is, they are the first: published vocabularies begin with the commonest.
func commonWords(t *Tokenizer, u *Unigram) (ids []int32) {
	const most = 150
	for id, word := range t.Vocabulary {
		letters := !strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) })
		if letters && len([]rune(word)) > 2 {
			ids = append(ids, int32(id))
		}
	}
	if u != nil {
		slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(u.losses[a], u.losses[b]) })
	}
	return ids[:min(most, len(ids))]
}

// check returns an error if what was read is not of this model.
func (p *pastRun) check(m *Model) error {
	unknown := func(id int32) bool { return id < 0 || int(id) >= m.Config.VocabSize }
	for i, c := range slices.Concat([]Case{p.Pair, p.Masked}, p.Cases) {
		n := len(c.Tokens)
		switch {
		case i == 1 && n == 0: // nothing is watched
		case n == 0 || n > m.Config.MaxPositionEmbeddings || len(c.Segments) != n,
			slices.ContainsFunc(slices.Concat(c.Tokens, p.Words), unknown),
			slices.ContainsFunc(c.Segments, func(s int32) bool { return s < 0 || int(s) >= m.Config.TypeVocabSize }),
			slices.ContainsFunc(c.Targets, func(at int) bool { return at < 0 || at >= n }):
			return errors.New("it is not of the model beside it")
		}
	}
	if b := p.Before; b != nil && (len(b.Vectors) != len(p.Pair.Tokens) || len(b.Points) != len(p.Words)) {
		return errors.New("\"before\" is not of the same tokens and words as the rest")
	}
	if s := p.Classes; s != nil && slices.ContainsFunc(s.Confusion, func(row []int) bool { return len(row) != len(s.Labels) || len(row) != len(s.Confusion) }) {
		return errors.New("\"classes\" has not a row and a column for each label")
	}
	return nil
}

// A reporter writes report.html and report.json for a run.
type reporter struct {
	pastRun
	c       *call
	dir     string
	m       *Model
	t       *Tokenizer
	metrics func(read func(io.Reader) error) error
	due     time.Time // not before
	failed  bool
}

// newReporter is for a folder's model as it is now.
func (c *call) newReporter(dir string, m *Model, t *Tokenizer) *reporter {
	r := &reporter{c: c, dir: dir, m: m, t: t, due: time.Now().Add(time.Second)}
	r.metrics = func(read func(io.Reader) error) error { return readFile(filepath.Join(dir, metricsFile), nil, read) }
	r.Pair.Tokens, r.Pair.Segments, _ = t.Sequence(demoA, demoB, m.Config.MaxPositionEmbeddings)
	r.Words = commonWords(t, nil)
	return r
}

// begin is called before the first step of a run, with some examples of what it learns from.
func (r *reporter) begin(s *Settings, cases []Case) {
	r.Command, r.Kernels, r.Workers, r.Settings = r.c.commandLine(), kernels.name, workers, s
	if r.Cases = cases; len(cases) > 0 {
		r.Pair = Case{Tokens: cases[0].Tokens, Segments: cases[0].Segments}
	}
	r.follow(r.Pair, Case{})
}

// follow makes it follow a pair, and watch a masked text, from the model as it is now.
func (r *reporter) follow(pair, masked Case) {
	r.Pair, r.Masked, r.Moments = pair, masked, nil
	r.Before = r.lookAt(r.m)
	r.watch(0)
}

// beginPreTraining is begin for pre-training, also for one that is resumed.
func (r *reporter) beginPreTraining(trainer *Trainer) {
	list := trainer.HeldOut
	if source, ok := trainer.Source.(ListSource); ok {
		list = source[:min(len(source), heldOutExamples)]
	}
	var cases []Case
	pair, masked := r.Pair, Case{}
	for i, e := range slices.Concat([]Example{shortest(list, 0), shortest(list, 1)}, list[:min(1, len(list))]) {
		if len(e.Tokens) == 0 {
			continue
		}
		c, text := Case{Tokens: e.Tokens, Segments: e.Segments, Labels: append(slices.Clone(e.Labels), e.NextLabel)}, slices.Clone(e.Tokens)
		for k, at := range e.Targets {
			c.Targets, text[at] = append(c.Targets, int(at)), e.Labels[k]
		}
		if cases = append(cases, c); i == 0 {
			pair = Case{Tokens: text, Segments: e.Segments} // as it was before some of it was hidden
		}
		if len(masked.Tokens) == 0 && slices.Contains(e.Tokens, r.t.mask) {
			masked = Case{Tokens: e.Tokens, Segments: e.Segments}
		}
	}
	r.Words = commonWords(r.t, trainer.unigram)
	r.begin(&trainer.Settings, cases)
	r.follow(pair, masked)
	if trainer.state.Step > 0 {
		var old pastRun
		r.Before = nil
		if readJSON(filepath.Join(r.dir, pastRunFile), &old) == nil && old.check(r.m) == nil && slices.Equal(old.Pair.Tokens, r.Pair.Tokens) && slices.Equal(old.Words, r.Words) {
			r.Before, r.Moments = old.Before, old.Moments
		}
	}
}

// shortest is the shortest of some examples with this label.
func shortest(list []Example, nextLabel int32) Example {
	var best Example
	for _, e := range list {
		if e.NextLabel == nextLabel && (best.Tokens == nil || len(e.Tokens) < len(best.Tokens)) {
			best = e
		}
	}
	return best
}

// score is called when a task's model has been scored.
func (r *reporter) score(s Score) {
	r.Classes, _ = s.(*ClassScore)
	var text strings.Builder
	s.Write(&text)
	r.Score = text.String()
}

// watch keeps what the model guesses now.
func (r *reporter) watch(step int) {
	seen := len(r.Moments) > 0 && r.Moments[len(r.Moments)-1].Step == step
	if r.Masked.Tokens != nil && !seen {
		const most = 24
		best := r.m.Fill(r.t, BatchOf(r.Masked.Tokens, r.Masked.Segments), 5)[0][0].Best
		if len(r.Moments) == most { // every second one stays
			for i := range most / 2 {
				r.Moments[i] = r.Moments[2*i]
			}
			r.Moments = r.Moments[:most/2]
		}
		r.Moments = append(r.Moments, moment{step, best})
	}
}

// commandLine is what would do the same again, in a shell's words.
func (c *call) commandLine() string {
	words := []string{"go run .", c.name}
	for _, word := range c.line {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool {
			return !strings.ContainsRune("-_./,:=+@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// A pair of sentences for where there is no other text: the one that the demo follows.
const (
	demoA = "The fog comes in from the sea."
	demoB = "Sam sounds the horn for the boats."
)

// A history is metrics.jsonl: what was held out and what was trained on, by the names there. In
// finetune's there is a line for each epoch, which is then its step.
type history map[string]map[string][]float64

func (h history) add(split, name string, v any) {
	if x, ok := v.(float64); ok {
		if h[split] == nil {
			h[split] = map[string][]float64{}
		}
		h[split][name] = append(h[split][name], x)
	}
}

// unit is what is counted.
func (h history) unit() string {
	if h["heldout"]["score"] != nil {
		return "epoch"
	}
	return "step"
}

// readHistory reads it. A last line without an end was cut off.
func readHistory(r io.Reader) (history, error) {
	h := history{}
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return h, ignoreEOF(err)
		}
		var all map[string]any
		if err := json.Unmarshal(line, &all); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		split, ok := all["split"].(string)
		for name, v := range all {
			if ok {
				h.add(split, name, v)
			}
		}
		if !ok {
			h.add("train", "step", all["epoch"])
			h.add("train", "loss", all["loss"])
			h.add("train", "score", all["accuracy"])
			h.add("heldout", "step", all["epoch"])
			h.add("heldout", "score", all["score"])
		}
	}
}
