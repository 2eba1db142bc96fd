package main

import (
	"fmt"
	"html/template"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// The commands, what is on the page: its parts in the order in which they stand there, each with
// what makes it, from the model, from metrics.jsonl and from report.json.

// The input: figure 2 of the paper, with strips of colour for the vectors.

// vectorNames are the names of Embeddings.Vectors.
var vectorNames = [5]string{"token", "+ segment", "+ position", "= sum", "normalised"}

// Most is the greatest of all numbers in vectors k, whatever its sign: the end of their scale.
func (l *look) Most(k int) (most float32) {
	for _, vectors := range l.Vectors {
		for _, x := range vectors[k] {
			most = max(most, x, -x)
		}
	}
	return most
}

// strip is a vector as a column of colours.
func strip(v []float32, most float32) template.URL {
	return pixels(slices.Collect(slices.Chunk(v, 1)), most)
}

// numbersOf are the first numbers of a vector.
func numbersOf(v []float32) string {
	return strings.Trim(fmt.Sprintf("%.3f", v[:min(6, len(v))]), "[]") + " …"
}

// The task: examples, and what the model guesses.

// An example is a case, with its tokens and the guesses in words.
type example struct {
	*Case
	Text    []shownToken
	Guesses []guess
}

// A shownToken is a token and what was done to it: masked, replaced or kept. In a passage it has
// the probabilities that the answer begins and that it ends there.
type shownToken struct {
	Text, Kind string
	Number     int // of the guess that is about it, from 1
	Shares     []float64
}

// A guess is the best answers to a question.
type guess struct {
	Question string
	Answers  []bar
}

// A bar is a name and a share of 1.
type bar struct {
	Name  string
	Share float64
	Right bool   // the right answer
	Value string // the share, or what it stands for
}

func barOf(name string, share float32, right bool) bar {
	return bar{name, float64(share), right, percent(float64(share))}
}

// percent is a share in words.
func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// Text is the tokens of a case. The labels of pre-training are what was there before some were
// hidden.
func (r *reporter) Text(c *Case) (tokens []shownToken) {
	for i, id := range c.Tokens {
		t := shownToken{Text: r.Token(id), Number: slices.Index(c.Targets, i) + 1}
		if r.m.Config.Task() == preTraining && t.Number > 0 && t.Number <= len(c.Labels) {
			t.Kind = seenNames[SeenAs(c.Labels[t.Number-1], id, r.t.mask)]
		} else if id == r.t.mask {
			t.Kind = seenNames[hidden]
		}
		tokens = append(tokens, t)
	}
	return tokens
}

// Examples are the cases with what the model guesses.
func (r *reporter) Examples() (shown []example) {
	for i := range r.Cases {
		e := example{Case: &r.Cases[i]}
		e.Text = r.Text(e.Case)
		if r.m.Config.Task() == preTraining {
			r.guessHidden(&e)
		} else {
			r.guessTask(&e)
		}
		shown = append(shown, e)
	}
	return shown
}

// guessHidden guesses the hidden tokens, and whether B follows A.
func (r *reporter) guessHidden(e *example) {
	b := BatchOf(e.Tokens, e.Segments)
	b.Targets = e.Targets
	r.m.NoDropout()
	mlm, nsp := r.m.Forward(b)
	rows := slices.Collect(slices.Chunk(mlm, r.m.Config.VocabSize))
	for i := range e.Targets {
		e.guess(fmt.Sprintf("Token %d", i+1), rows[i], 5, i, r.Token)
	}
	if slices.Contains(e.Segments, 1) {
		kind := func(id int32) string { return [2]string{"IsNext", "NotNext"}[id] }
		e.guess("Does B follow A?", nsp, 2, len(e.Targets), kind)
	}
}

// guessTask guesses labels, or what else the task asks for.
func (r *reporter) guessTask(e *example) {
	labels, logits := r.m.Config.Labels(), r.m.LogitsOf([]Case{*e.Case})[0]
	name := func(id int32) string { return labels[id] }
	switch task := r.m.Config.Task(); task {
	case oneLabel:
		e.guess("Its label", logits, 5, 0, name)
	case tagging:
		for i, at := range e.Targets {
			row := logits[i*len(labels):][:len(labels)]
			e.guess(fmt.Sprintf("%d: %s", i+1, r.Token(e.Tokens[at])), row, 2, i, name)
		}
	case answering:
		place := func(at int32) string { return fmt.Sprintf("%s (token %d)", r.Token(e.Tokens[at]), at) }
		for k, question := range []string{"It begins with", "It ends with"} {
			shares := make([]float32, len(e.Tokens))
			for i := range shares {
				shares[i] = logits[2*i+k]
			}
			e.guess(question, shares, 3, k, place)
			for i, share := range shares {
				e.Text[i].Shares = append(e.Text[i].Shares, float64(share))
			}
		}
	default:
		e.giveNumbers(labels, logits, task == severalLabels)
	}
}

// guess adds the n best answers to a question, and the right one, label i, if that is known. It
// makes shares of the logits.
func (e *example) guess(question string, logits []float32, n, i int, name func(id int32) string) {
	shares := Softmax(logits, 1)
	best, right := greatest(shares, n), -1
	if i < len(e.Labels) {
		right = int(e.Labels[i])
	}
	if right >= 0 && right < len(shares) && !slices.Contains(best, right) {
		best = append(best, right)
	}
	g := guess{Question: question}
	for _, id := range best {
		g.Answers = append(g.Answers, barOf(name(int32(id)), shares[id], id == right))
	}
	e.Guesses = append(e.Guesses, g)
}

// giveNumbers adds the numbers that the model gives, or of several labels how sure it is of each.
func (e *example) giveNumbers(names []string, logits []float32, areLabels bool) {
	g := guess{Question: "Given, and what is right in brackets"}
	for i, x := range logits {
		b := bar{Name: names[i]}
		if areLabels {
			x = logistic(x)
			b.Share = float64(x)
		}
		b.Value = fmt.Sprintf("%.2f", x)
		if i < len(e.Values) {
			b.Value += fmt.Sprintf(" (%.2f)", e.Values[i])
		}
		g.Answers = append(g.Answers, b)
	}
	e.Guesses = append(e.Guesses, g)
}

// Learning: what metrics.jsonl has.

// Charts are drawn of those columns that there are.
func (r *reporter) Charts() (charts []*chart) {
	h, marks := r.History, r.marks()
	byFrequency := h.level("unigram_loss", 1, "by how common each word is")
	alike := signpost{ln(float64(r.m.Config.VocabSize)), "all words alike"}
	commonest := h.level("unigram_accuracy", 100, "always the commonest word")
	for _, c := range []chart{
		{Title: "MLM: loss", Lines: h.lines("mlm_loss", 1), Levels: append(byFrequency, alike)},
		{Title: "MLM: right, in %", Lines: h.lines("mlm_accuracy", 100), Levels: commonest, Top: 30},
		{Title: "NSP: loss", Lines: h.lines("nsp_loss", 1), Levels: []signpost{{math.Ln2, "a coin"}}},
		{Title: "NSP: right, in %", Lines: h.lines("nsp_accuracy", 100), Levels: []signpost{{50, "a coin"}}, Top: 250},
		{Title: "Learning rate, in thousandths", Lines: h.lines("learning_rate", 1000)},
		{Title: "Norm of the gradient", Lines: h.lines("gradient_norm", 1)},
		{Title: "Loss", Lines: h.lines("loss", 1)},
		{Title: "Score, in %", Lines: r.scores()},
	} {
		c.Axis, c.Marks = h.unit(), marks
		if drawn := newChart(c); drawn != nil {
			charts = append(charts, drawn)
		}
	}
	return charts
}

// scores are finetune's. In training it counts how much is right, which is drawn only where that is
// the score of what is held out, too.
func (r *reporter) scores() []series {
	lines := r.History.lines("score", 100)
	task := r.m.Config.Task()
	if task != oneLabel && !(task == tagging && !AreEntities(r.m.Config.Labels())) {
		lines[0].Points = nil
	}
	return lines
}

// marks are the steps at which something happened.
func (r *reporter) marks() (marks []signpost) {
	if s := r.Settings; s != nil && s.ShortSteps() > 0 && s.ShortSteps() < s.Steps {
		marks = append(marks, signpost{float64(s.ShortSteps()), "from here longer sequences"})
	}
	nsp := r.History.lines("nsp_accuracy", 1)[1].Points // held out
	if i := slices.IndexFunc(nsp, func(p point) bool { return inItsPlace(p.Y) }); i >= 0 {
		marks = append(marks, signpost{nsp[i].X, "NSP falls into place"})
	}
	return marks
}

// inItsPlace tells whether next sentence prediction is clearly better than a coin.
func inItsPlace(accuracy float64) bool { return accuracy > 0.65 }

// Bars are the best guesses of one moment.
func (m moment) Bars() (all []bar) {
	for _, guess := range m.Best {
		all = append(all, barOf(guess.Token, guess.Probability, false))
	}
	return all
}

// Attention.

// A headView is what a head makes of the pair. Its lines are drawn by the page's script: from
// each token to others, these and their shares in thousandths by turns.
type headView struct {
	Layer, Head int          `json:"-"`
	Picture     template.URL `json:"-"`
	Habits      habits       `json:"-"`
	Lines       [][]int
}

// MostLines is how many lines go from one token at most: a page has to stay small.
func (r *reporter) MostLines() int {
	return max(3, 150_000/(len(r.Pair.Tokens)*r.m.Config.NumAttentionHeads*len(r.m.encoder)))
}

// Heads are all heads, by layers.
func (r *reporter) Heads() (layers [][]headView) {
	r.m.EncodeOne(r.Pair.Tokens, r.Pair.Segments)
	for i, layer := range r.m.encoder {
		row := make([]headView, layer.attention.heads)
		for k := range row {
			var square [][]float32 // (T, T)
			var lines [][]int
			for token := range r.Pair.Tokens {
				shares := layer.attention.Weights(token, k+1)
				square, lines = append(square, shares), append(lines, strongest(shares, r.MostLines()))
			}
			row[k] = headView{
				Layer: i + 1, Head: k + 1, Lines: lines,
				Picture: pixels(square, 0.6),
				Habits:  habitsOf(layer.attention, k+1, r.Pair.Tokens, r.t.sep),
			}
		}
		layers = append(layers, row)
	}
	return layers
}

// strongest are at most n tokens with the greatest shares, and those in thousandths, by turns.
func strongest(shares []float32, n int) []int {
	line := []int{}
	for _, j := range descending(shares)[:min(n, len(shares))] {
		if thousandths := int(float32(1000*shares[j]) + 0.5); thousandths > 0 {
			line = append(line, j, thousandths)
		}
	}
	return line
}

// habits are where a head looks, on average over the tokens, as shares: at the token before, at
// the token itself, at the one after, else at a [SEP], else anywhere.
type habits [5]float64

var habitNames = [5]string{"the token before", "itself", "the token after", "[SEP]", "others"}

// habitsOf are those of a head, counted from 1, in the sequence that attention has seen last.
func habitsOf(a *Attention, head int, tokens []int32, sep int32) (h habits) {
	for i := range tokens {
		for j, share := range a.Weights(i, head) {
			to := j - i + 1
			switch {
			case to >= 0 && to <= 2:
			case tokens[j] == sep:
				to = 3
			default:
				to = 4
			}
			h[to] += float64(share) / float64(len(tokens))
		}
	}
	return h
}

// String says what a head does, in short where that is clear.
func (h habits) String() string {
	var all []string
	for k, share := range h {
		if share >= 0.5 && k < 4 {
			return fmt.Sprintf("looks mostly at %s (%.0f%%)", habitNames[k], 100*share)
		}
		all = append(all, fmt.Sprintf("%s %.0f%%", habitNames[k], 100*share))
	}
	return "looks, on average, at: " + strings.Join(all, ", ")
}

// What the words have become: their vectors, in the two directions in which they differ most.

// Map is a map of the commonest words.
func (r *reporter) Map(l *look) []dot { return mapOf(r.Tokens(r.Words), l.Near, l.Points) }

// Transfer: what pre-training is worth, over how many sentences have labels.

// StudyChart is a line for each way to get a model.
func (p *pastRun) StudyChart() *chart {
	rows := p.Study
	c := chart{Title: "Right, in %", Axis: "labels a class"}
	for i, row := range rows { // evenly apart, however many labels there are
		c.XTicks = append(c.XTicks, signpost{float64(i), row.Size()})
	}
	for _, way := range ways {
		line := series{Name: way}
		for i, row := range rows {
			score := row.Score[way]
			line.Points = append(line.Points, point{float64(i), 100 * score.Mean, 100 * score.Spread, row.Size()})
		}
		c.Lines = append(c.Lines, line)
	}
	return newChart(c)
}

// How it was made.

// partSizes are how many parameters the embeddings have, the layers, and what is on top.
func partSizes(m *Model) (sizes [3]int) {
	for i, p := range m.List {
		switch {
		case strings.HasPrefix(p.Name, "bert.embeddings."):
			sizes[0] += p.Size()
		case i < m.encoderParams:
			sizes[1] += p.Size()
		default:
			sizes[2] += p.Size()
		}
	}
	return sizes
}

// Parts are those sizes as bars.
func (r *reporter) Parts() (parts []bar) {
	sizes := partSizes(r.m)
	for i, name := range []string{"embeddings", "layers", "heads on top"} {
		share := ratio(float64(sizes[i]), len(r.m.Value))
		parts = append(parts, bar{Name: name, Share: share, Value: fmt.Sprintf("%d (%.0f%%)", sizes[i], 100*share)})
	}
	return parts
}

var capitals = regexp.MustCompile("[A-Z]")

// preTrainingAlone are the settings that fine-tuning does not look at.
var preTrainingAlone = []string{"ShortSeq", "ShortPart", "ShortSeqProb", "Accumulate", "WholeWords", "LogEvery"}

// Made is a table of the model's and the training's settings.
func (r *reporter) Made() (table [][2]string) {
	add := func(name, format string, args ...any) {
		table = append(table, [2]string{name, fmt.Sprintf(format, args...)})
	}
	c := &r.m.Config
	add("model", "%s: %d layers, %d heads, hidden size %d, intermediate size %d, %d words, %d positions", c.Architecture(),
		c.NumHiddenLayers, c.NumAttentionHeads, c.HiddenSize, c.IntermediateSize, c.VocabSize, c.MaxPositionEmbeddings)
	add("parameters", "%d", len(r.m.Value))
	if tokens, ok := r.History.last("train tokens"); ok {
		add("tokens", "%.0f", tokens)
	}
	if speeds := slices.Sorted(slices.Values(r.History["train tokens_per_second"])); len(speeds) > 0 {
		add("tokens a second", "%.0f (the median)", speeds[len(speeds)/2])
	}
	if r.Kernels != "" {
		add("computed by", "%s, %d workers", r.Kernels, r.Workers)
	}
	if r.Settings != nil {
		v := reflect.ValueOf(*r.Settings)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if c.Task() != preTraining && slices.Contains(preTrainingAlone, name) {
				continue
			}
			words := capitals.ReplaceAllString(name, " $0")
			add(strings.ToLower(words[1:]), "%v", v.Field(i))
		}
	}
	return table
}
