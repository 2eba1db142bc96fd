package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The commands, what a run keeps for its page, report.html: what neither the model nor
// metrics.jsonl will tell when it is over.

const pastRunFile = "report.json"

// A pastRun is report.json.
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

	OnTraining bool `json:"scored_on_training"` // since there is too little to hold some out
}

// A moment is the best guesses after a step.
type moment struct {
	Step int     `json:"step"`
	Best []Guess `json:"best"`
}

// A look is what the embeddings are at one time: of each token of the pair the first numbers of
// Embeddings.Vectors; where the words are on their map, and what each is nearest to.
type look struct {
	When    string         `json:"-"` // in words
	Vectors [][5][]float32 `json:"vectors"`
	Points  [][2]float64   `json:"points"`
	Near    []string       `json:"near"`
}

const (
	shownCases   = 3   // examples
	shownTokens  = 128 // of the pair of a run
	shownNumbers = 32  // of a vector
)

var longWord = regexp.MustCompile(`^\pL{3,}$`)

// commonWords are the commonest whole words of a vocabulary. Where nothing tells how common a
// word is, they are the first: published vocabularies begin with the commonest.
func commonWords(t *Tokenizer, u *Unigram) (ids []int32) {
	const most = 150
	for id, word := range t.Vocabulary {
		if longWord.MatchString(word) {
			ids = append(ids, int32(id))
		}
	}
	if u != nil {
		slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(u.losses[a], u.losses[b]) })
	}
	return ids[:min(most, len(ids))]
}

// frequencies are how common the words are of what is trained on.
func frequencies(t *Trainer) *Unigram {
	if t.unigram != nil {
		return t.unigram
	}
	switch source := t.Source.(type) {
	case *CorpusSource:
		return source.Corpus.Unigram(source.Documents, t.Model.Config.VocabSize)
	case ListSource:
		return UnigramOf(slices.Values(source), t.Model.Config.VocabSize)
	}
	return nil
}

// read reads it. The table of a classifier with many labels is large.
func (p *pastRun) read(dir string) error {
	return readJSONUpTo(filepath.Join(dir, pastRunFile), 1<<24, p)
}

// check returns an error if what was read is not of this model.
func (p *pastRun) check(m *Model) error {
	cases := append([]Case{p.Pair, p.Masked}, p.Cases...)
	bad := outside(p.Words, m.Config.VocabSize)
	for i, c := range cases {
		n := len(c.Tokens)
		nothing := n == 0 && i != 1 // there need not be anything masked
		bad = bad || nothing || n > m.Config.MaxPositionEmbeddings || n != len(c.Segments) || outside(c.Targets, n) ||
			outside(c.Tokens, m.Config.VocabSize) || outside(c.Segments, m.Config.TypeVocabSize)
	}
	if bad {
		return errors.New("it is not of the model beside it")
	}
	if b := p.Before; b != nil && (len(b.Vectors) != len(p.Pair.Tokens) || len(b.Points) != len(p.Words) || len(b.Near) > len(p.Words)) {
		return errors.New("\"before\" is not of the same tokens and words as the rest")
	}
	if s := p.Classes; s != nil {
		for _, row := range s.Confusion {
			if len(row) != len(s.Labels) || len(row) != len(s.Confusion) {
				return errors.New("\"classes\" has not a row and a column for each label")
			}
		}
	}
	return nil
}

// outside tells whether not all numbers are from 0 to below limit.
func outside[N int | int32](numbers []N, limit int) bool {
	return slices.ContainsFunc(numbers, func(n N) bool { return n < 0 || int(n) >= limit })
}

// A history is metrics.jsonl: columns by their split and name, as "heldout mlm_loss". Of
// finetune's, which has a line for each epoch, they are called as if an epoch were a step.
type history map[string][]float64

// unit is what is counted.
func (h history) unit() string {
	if h["heldout score"] != nil {
		return "epoch"
	}
	return "step"
}

// last is the last value of a column, if there is one.
func (h history) last(column string) (x float64, ok bool) {
	if n := len(h[column]); n > 0 {
		return h[column][n-1], true
	}
	return 0, false
}

// reached is how far the model is: its last step or, of finetune's, its best epoch so far.
func (h history) reached() (step float64, ok bool) {
	if best, ok := h.last(bestEpochs); ok {
		return best, true
	}
	return h.last("train step")
}

// bestEpochs is the column of those epochs after each of which the model was saved.
const bestEpochs = "best epochs"

// readHistory reads it. A last line without an end was cut off.
func readHistory(r io.Reader) (history, error) {
	h := history{}
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil {
			h.nameEpochs()
			return h, ignoreEOF(err)
		}
		var all map[string]any
		if err := json.Unmarshal(line, &all); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		split, _ := all["split"].(string)
		for name, v := range all {
			if x, ok := v.(float64); ok {
				h[split+" "+name] = append(h[split+" "+name], x)
			}
		}
		if epoch, ok := all["epoch"].(float64); ok && all["best"] == true {
			h[bestEpochs] = append(h[bestEpochs], epoch)
		}
	}
}

// nameEpochs gives finetune's columns their names.
func (h history) nameEpochs() {
	if h[" epoch"] != nil {
		h["train step"], h["heldout step"] = h[" epoch"], h[" epoch"]
		h["train loss"], h["train score"], h["heldout score"] = h[" loss"], h[" accuracy"], h[" score"]
	}
}

// lines are a column over the steps, in training and held out, if each report has it.
func (h history) lines(column string, scale float64) []series {
	lines := []series{{Name: "in training"}, {Name: "held out"}}
	for k, split := range []string{"train ", "heldout "} {
		steps, values := h[split+"step"], h[split+column]
		if len(steps) != len(values) {
			continue
		}
		for i, y := range values {
			lines[k].Points = append(lines[k].Points, point{X: steps[i], Y: scale * y})
		}
	}
	return lines
}

// level is the last held-out value of what needs no model.
func (h history) level(column string, scale float64, name string) []signpost {
	if y, ok := h.last("heldout " + column); ok {
		return []signpost{{scale * y, name}}
	}
	return nil
}

// Reports is a table of at most 20 reports of what is held out, evenly apart, under their names.
func (h history) Reports() (table [][]string) {
	steps := h["heldout step"]
	if len(steps) == 0 {
		return nil
	}
	missing := func(column string) bool { return len(h["heldout "+column]) != len(steps) }
	names := []string{"step", "mlm_loss", "mlm_accuracy", "nsp_loss", "nsp_accuracy", "score"}
	names = slices.DeleteFunc(names, missing)
	table = append(table, append([]string{h.unit()}, names[1:]...))
	rows := min(len(steps), 20)
	for i := range rows {
		var row []string
		for _, name := range names {
			at := i * (len(steps) - 1) / max(rows-1, 1) // from the first to the last
			row = append(row, fmt.Sprintf("%.4g", h["heldout "+name][at]))
		}
		table = append(table, row)
	}
	return table
}

// A reporter writes report.html and report.json for a run.
type reporter struct {
	pastRun
	c       *call
	dir     string
	m       *Model
	t       *Tokenizer
	metrics string    // the file of History; empty if there is none
	due     time.Time // the page is not written before
	failed  bool      // to write it, the last time

	// What the page shows, besides, of the model as it is now.
	History history
	State   string // how far the training is; empty where that is not known
	Now     *look
	Looks   []*look // as it was at first, if that is known, and Now
}

// newReporter is for a folder's model as it is now.
func (c *call) newReporter(dir string, m *Model, t *Tokenizer) *reporter {
	r := &reporter{c: c, dir: dir, m: m, t: t, metrics: filepath.Join(dir, metricsFile), due: time.Now().Add(time.Second)}
	r.Pair.Tokens, r.Pair.Segments, _ = t.Sequence(demoA, demoB, m.Config.MaxPositionEmbeddings)
	r.Words = commonWords(t, nil)
	return r
}

// begin is called before the first step of a run, with some examples of what it learns from;
// follow comes next.
func (r *reporter) begin(s *Settings, cases []Case) {
	r.Command, r.Kernels, r.Workers, r.Settings = r.c.commandLine(), kernels.name, workers, s
	if r.Cases = cases; len(cases) > 0 {
		r.Pair = withoutLabels(cases[0])
	}
}

// goOnFrom takes over which words are common from the run of the model in dir that this one begins
// with, if that is known: of a vocabulary that was learnt here, the first are the first joined.
func (r *reporter) goOnFrom(dir string) {
	var from pastRun
	if from.read(dir) == nil && from.check(r.m) == nil && len(from.Words) > 0 {
		r.Words = from.Words
	}
}

// withoutLabels is a case without what is to be learnt of it.
func withoutLabels(c Case) Case { return Case{Tokens: c.Tokens, Segments: c.Segments} }

// follow makes it follow the beginning of a pair, as a page has to stay small, and watch a masked
// text if there is one, from the model as it is now.
func (r *reporter) follow(pair, masked Case) {
	n := min(shownTokens, len(pair.Tokens))
	r.Pair = Case{Tokens: pair.Tokens[:n], Segments: pair.Segments[:n]}
	r.Masked, r.Moments = masked, nil
	r.Before = r.lookNow()
	r.watch(0)
}

// beginPreTraining is begin and follow for pre-training, also for one that is resumed: it shows
// the shortest example of each kind of pair, and the first other one.
func (r *reporter) beginPreTraining(trainer *Trainer) {
	list := trainer.HeldOut
	if source, ok := trainer.Source.(ListSource); ok {
		list = source[:min(len(source), heldOutExamples)]
	}
	var cases []Case
	for _, e := range slices.Concat([]Example{shortest(list, 0), shortest(list, 1)}, list) {
		twice := func(c Case) bool { return &c.Tokens[0] == &e.Tokens[0] }
		if len(cases) < shownCases && len(e.Tokens) > 0 && !slices.ContainsFunc(cases, twice) {
			cases = append(cases, caseOf(e))
		}
	}
	r.Words = commonWords(r.t, frequencies(trainer))
	r.begin(&trainer.Settings, cases)
	if len(cases) > 0 {
		r.Pair = unmasked(cases[0])
	}
	var masked Case
	if i := slices.IndexFunc(cases, func(c Case) bool { return slices.Contains(c.Tokens, r.t.mask) }); i >= 0 {
		masked = withoutLabels(cases[i])
	}
	r.follow(r.Pair, masked)
	if trainer.state.Step > 0 {
		r.resume()
	}
}

// lookNow looks at the model.
func (r *reporter) lookNow() *look {
	l := &look{}
	r.m.EncodeOne(r.Pair.Tokens, r.Pair.Segments)
	for i := range r.Pair.Tokens {
		vectors := r.m.embeddings.Vectors(i)
		for k, v := range vectors {
			vectors[k] = slices.Clone(v[:min(shownNumbers, len(v))])
		}
		l.Vectors = append(l.Vectors, vectors)
	}
	words, vectors := r.Tokens(r.Words), [][]float32{}
	for _, id := range r.Words {
		vectors = append(vectors, r.m.embeddings.Word.Row(id))
	}
	if len(words) > 0 {
		l.Points = components(vectors)
	}
	for i := range words {
		l.Near = append(l.Near, neighbours(words, vectors, i))
	}
	return l
}

// Token is a token by its id.
func (r *reporter) Token(id int32) string {
	if int(id) >= len(r.t.Vocabulary) {
		return fmt.Sprintf("(%d)", id) // there are fewer words than the model has room for
	}
	return r.t.Vocabulary[id]
}

// Tokens are tokens by their ids.
func (r *reporter) Tokens(ids []int32) (tokens []string) {
	for _, id := range ids {
		tokens = append(tokens, r.Token(id))
	}
	return tokens
}

// resume takes over what the page had of the run's beginning, if it followed the same.
func (r *reporter) resume() {
	var old pastRun
	err := old.read(r.dir)
	same := slices.Equal(old.Pair.Tokens, r.Pair.Tokens) && slices.Equal(old.Words, r.Words)
	if err != nil || !same || old.check(r.m) != nil {
		old = pastRun{} // the model does not tell any more how it began
	}
	r.Before, r.Moments = old.Before, old.Moments
}

// caseOf is an example of pre-training. Its labels are those of its targets and, last, of the pair.
func caseOf(e Example) Case {
	c := Case{Tokens: e.Tokens, Segments: e.Segments, Labels: append(slices.Clone(e.Labels), e.NextLabel)}
	for _, at := range e.Targets {
		c.Targets = append(c.Targets, int(at))
	}
	return c
}

// unmasked is the text of a caseOf as it was before some of it was hidden.
func unmasked(c Case) Case {
	text := slices.Clone(c.Tokens)
	for i, at := range c.Targets {
		text[at] = c.Labels[i]
	}
	return Case{Tokens: text, Segments: c.Segments}
}

// shortest is the shortest of some examples with this label.
func shortest(list []Example, nextLabel int32) (best Example) {
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

// watch keeps what the model guesses now, some 24 times in a run.
func (r *reporter) watch(step int) {
	if r.Masked.Tokens == nil {
		return
	}
	if n := len(r.Moments); n > 0 {
		since := step - r.Moments[n-1].Step
		if since == 0 || since < r.Settings.Steps/24 && step < r.Settings.Steps {
			return
		}
	}
	best := r.m.Fill(r.t, BatchOf(r.Masked.Tokens, r.Masked.Segments), 5)[0][0].Best
	r.Moments = append(r.Moments, moment{step, best})
}

// plainWord is a word that a shell leaves as it is.
var plainWord = regexp.MustCompile(`^[-_./,:=+@%\pL\pN]+$`)

// commandLine is what would do the same again, in a shell's words.
func (c *call) commandLine() string {
	words := []string{"go run .", c.name}
	for _, word := range c.line {
		if !plainWord.MatchString(word) {
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
