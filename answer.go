package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Step 8 of the lesson, a task: the answer to a question, as a part of a passage's own
// text. Here are its head, SQuAD's files, long passages cut into windows, and the answers.

func init() { taskHeads[answering] = newAnswerHead }

// AnswerHead gives each token two scores: that the answer begins with it, and
// that it ends with it (Hugging Face's BertForQuestionAnswering). The softmax of each is
// over the tokens of a sequence; [CLS] stands for "the answer is not here".
//
//	(begin, end) = Linear(x)
type AnswerHead struct {
	output *Linear // (H) → 2
	loss   *CrossEntropy

	column []float32 // (T): the logits of the beginning, or of the end, in one sequence
}

func newAnswerHead(m *Model) TaskHead {
	return &AnswerHead{output: NewLinear(&m.Parameters, "qa_outputs", m.Config.HiddenSize, 2), loss: NewCrossEntropy()}
}

// Forward: (N, H) → (N, 2).
func (l *AnswerHead) Forward(x []float32, b *Batch) []float32 { return l.output.Forward(x) }

// Loss is the sum over the sequences of (−ln p(begin) − ln p(end))/2, and the gradient
// that of their mean. The labels of a sequence are its tokens at which the answer
// begins and ends.
func (l *AnswerHead) Loss(logits []float32, b *Batch) TaskLoss {
	loss := TaskLoss{Count: len(b.Starts) - 1}
	weight := 1 / float32(2*loss.Count)
	for s, start := range b.Starts[1:] {
		rows, right := logits[2*b.Starts[s]:2*start], 0
		for k := range 2 { // the beginning, the end
			l.column = Grow(l.column, len(rows)/2)
			for i := range l.column {
				l.column[i] = rows[2*i+k]
			}
			sum, best := l.loss.ForwardBackward(l.column, b.Labels[2*s+k:2*s+k+1], weight)
			for i, d := range l.column {
				rows[2*i+k] = d
			}
			loss.Sum += float64(sum / 2)
			right += best
		}
		loss.Correct += right / 2 // 1 if both are right
	}
	return loss
}

// Backward goes through Forward in reverse.
func (l *AnswerHead) Backward(dlogits, dx []float32) { kernels.add(dx, l.output.Backward(dlogits)) }

// A Passage is a text that questions are asked about.
type Passage struct {
	Text  string
	ids   []int32
	spans []Span // of each token in Text
}

// NewPassage makes a passage of a text, and remembers where each of its tokens stands
// in it.
func NewPassage(t *Tokenizer, text string) *Passage {
	_, n := t.First(text, 0) // counted, for what grows takes twice as much
	p, _ := FirstOfPassage(t, text, n)
	return p
}

// FirstOfPassage is NewPassage for no more than limit tokens, and how many more there are.
func FirstOfPassage(t *Tokenizer, text string, limit int) (p *Passage, more int) {
	p = &Passage{Text: text}
	p.ids, p.spans, more = t.FirstSpans(text, limit)
	return p, more
}

// A Question is asked about a passage.
type Question struct {
	ID      string
	Passage *Passage
	ids     []int32
	Answers []string // what people answered; none if the passage does not say it
	answer  Span     // the tokens of the first answer in the passage
}

// squadFile is SQuAD's format. 1.1 has no is_impossible.
type squadFile struct {
	Data []struct {
		Paragraphs []struct {
			Context string `json:"context"`
			QAs     []struct {
				ID           LooseValue    `json:"id"`
				Question     string        `json:"question"`
				Answers      []squadAnswer `json:"answers"`       // nil if it is not there, not if it is empty
				IsImpossible LooseValue    `json:"is_impossible"` // "" if it is not there
			} `json:"qas"`
		} `json:"paragraphs"`
	} `json:"data"`
}

type squadAnswer struct {
	Text  string `json:"text"`
	Start *int   `json:"answer_start"` // in characters, not bytes
}

// A LooseValue is a string, or what else there is as it stands: files in SQuAD's format have
// numbers for ids, and strings for true and false.
type LooseValue string

// UnmarshalJSON reads it.
func (v *LooseValue) UnmarshalJSON(data []byte) error {
	*v = LooseValue(data)
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(v))
	}
	return nil
}

// ReadSQuAD reads questions in the format of SQuAD 1.1 or 2.0.
func ReadSQuAD(r io.Reader, t *Tokenizer) ([]Question, error) {
	var text json.RawMessage
	var file squadFile
	err := decodeJSON(r, &text)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return nil, fmt.Errorf("this is not SQuAD's JSON: %w", err)
	}
	if err := CheckText(text); err != nil {
		return nil, fmt.Errorf("the text %w", err)
	}
	var all []Question
	for _, article := range file.Data {
		for _, paragraph := range article.Paragraphs {
			passage := NewPassage(t, paragraph.Context)
			for _, qa := range paragraph.QAs {
				q := Question{ID: string(qa.ID), Passage: passage, ids: t.Encode(qa.Question)}
				if err := q.setAnswers(qa.Answers, strings.ToLower(string(qa.IsImpossible))); err != nil {
					return nil, fmt.Errorf("question %d, id %q: %w", len(all)+1, qa.ID, err)
				}
				all = append(all, q)
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no question in it, want data[].paragraphs[].qas[] as in SQuAD")
	}
	return all, nil
}

// setAnswers checks that the answers stand in the passage where they should.
func (q *Question) setAnswers(answers []squadAnswer, impossible string) error {
	switch {
	case len(q.ids) == 0:
		return errors.New("the question is empty")
	case len(q.Passage.ids) == 0:
		return errors.New("the context is empty")
	case answers == nil && impossible != "true": // it may be there by another name
		return errors.New("answers is missing, want a list, empty where there is no answer")
	case impossible != "" && impossible != "null" && impossible != strconv.FormatBool(len(answers) == 0):
		return fmt.Errorf("is_impossible is %s and there are %d answers", impossible, len(answers))
	}
	for i, a := range answers {
		if a.Start == nil {
			return fmt.Errorf("the answer %q has no answer_start, want at which character of the context it stands", a.Text)
		}
		begin, ok := byteOffset(q.Passage.Text, *a.Start)
		if !ok || a.Text == "" || !strings.HasPrefix(q.Passage.Text[begin:], a.Text) {
			return fmt.Errorf("the answer %q does not stand at character %d of the context%s", a.Text, *a.Start, q.Passage.near(a))
		}
		tokens := q.Passage.tokensOf(Span{begin, begin + len(a.Text)})
		if tokens.Begin == tokens.End {
			return fmt.Errorf("the answer %q has no token", a.Text)
		}
		if i == 0 {
			q.answer = tokens
		}
		q.Answers = append(q.Answers, a.Text)
	}
	return nil
}

// AboutQuestions says how many questions there are, about how many passages.
func AboutQuestions(list []Question) string {
	passages, none := map[*Passage]bool{}, 0
	for _, q := range list {
		passages[q.Passage] = true
		if len(q.Answers) == 0 {
			none++
		}
	}
	return fmt.Sprintf("%d questions about %d passages, %d of them without an answer", len(list), len(passages), none)
}

// near says where an answer does stand, or what stands in its place.
func (p *Passage) near(a squadAnswer) string {
	if at := strings.Index(p.Text, a.Text); at >= 0 && a.Text != "" {
		return fmt.Sprintf(", but at %d", utf8.RuneCountInString(p.Text[:at]))
	}
	if begin, ok := byteOffset(p.Text, *a.Start); ok {
		there := []rune(p.Text[begin:min(len(p.Text), begin+400)])
		return fmt.Sprintf(", where %q stands", string(there[:min(len(there), max(10, utf8.RuneCountInString(a.Text)))]))
	}
	return fmt.Sprintf(", which has %d", utf8.RuneCountInString(p.Text))
}

// byteOffset is where character n of s begins.
func byteOffset(s string, n int) (int, bool) {
	for at := range s {
		if n == 0 {
			return at, true
		}
		n--
	}
	return len(s), n == 0
}

// tokensOf are the tokens that have a part in text[s.Begin:s.End].
func (p *Passage) tokensOf(s Span) Span {
	begin, _ := slices.BinarySearchFunc(p.spans, s.Begin, func(t Span, at int) int {
		if t.End <= at {
			return -1
		}
		return 1
	})
	end := begin
	for end < len(p.spans) && p.spans[end].Begin < s.End {
		end++
	}
	return Span{begin, end}
}

// A window is as much of a passage as the model can take at once, after the
// question: [CLS] question [SEP] part of the passage [SEP].
type window struct {
	Case
	part  Span // the tokens of the passage in it
	first int  // where they begin in the case
	// own are the tokens that have more around them here than in any other window that
	// has them. An answer that begins with one of them is looked for here.
	own Span
}

// Limits says how questions and passages are cut.
type Limits struct {
	MaxSeq    int // tokens of a window
	Overlap   int // tokens that two windows of a passage share (Hugging Face's doc_stride)
	MaxAnswer int // tokens of an answer
}

// answerSeq is the most tokens of a window, unless it is given; Google's.
const answerSeq = 384

// DefaultLimits are for windows of maxSeq tokens. The answer's 30 tokens are Google's.
// Google's doc_stride is the distance between the beginnings of two windows; Overlap is
// what they share, as in Hugging Face's run_qa.py.
func DefaultLimits(maxSeq int) Limits {
	return Limits{MaxSeq: maxSeq, Overlap: maxSeq / 3, MaxAnswer: 30}
}

const maxQuestion = 64 // tokens of a question, as in Google's BERT

// Question is how many tokens of a question are kept.
func (l Limits) Question() int { return min(maxQuestion, (l.MaxSeq-pairSpecials)/2) }

// windows cuts the passage of a question, and labels each window: with where the
// answer is, or with [CLS] if it has not all of it.
func (q *Question) windows(t *Tokenizer, l Limits) iter.Seq[window] {
	question := q.ids[:min(len(q.ids), l.Question())]
	room := l.MaxSeq - pairSpecials - len(question)
	step := max(room-l.Overlap, (room+1)/2)
	return func(yield func(window) bool) {
		own, last := 0, false
		for begin := 0; !last; begin += step {
			w := window{part: Span{begin, min(begin+room, len(q.Passage.ids))}, first: len(question) + 2}
			w.own = Span{own, w.part.End}
			if last = w.part.End == len(q.Passage.ids); !last { // what two windows share is cut in the middle
				w.own.End = (begin + step + w.part.End + 1) / 2
			}
			own = w.own.End
			w.Tokens, w.Segments = t.Pair(question, q.Passage.ids[w.part.Begin:w.part.End])
			w.Labels = []int32{0, 0}
			if len(q.Answers) > 0 && q.answer.Begin >= begin && q.answer.End <= w.part.End {
				w.Labels[0] = int32(w.first + q.answer.Begin - begin)
				w.Labels[1] = int32(w.first + q.answer.End - 1 - begin)
			}
			if !yield(w) {
				return
			}
		}
	}
}

// AnswerCases makes the cases of questions to train on.
func AnswerCases(t *Tokenizer, questions []Question, l Limits) (cases []Case) {
	for i := range questions {
		for w := range questions[i].windows(t, l) {
			cases = append(cases, w.Case)
		}
	}
	return cases
}

// An Answer is a part of a passage: text[Start:End] in characters, as in SQuAD.
// It is empty if the passage does not have the answer.
type Answer struct {
	Text     string  `json:"answer"`
	Start    int     `json:"start"`
	End      int     `json:"end"`
	Score    float32 `json:"score"`     // its probability among all parts and "no answer"
	NoAnswer float32 `json:"no_answer"` // the probability of that
}

// Answer answers a question. The score of a part is the logit of its beginning +
// the logit of its end; that of no answer is the same for [CLS], in the window
// where it is least (for the others do not see the answer). There is no answer
// if that is better than the best part by more than threshold.
func (m *Model) Answer(t *Tokenizer, q *Question, l Limits, threshold float64) Answer {
	none, best, part := float32(math.Inf(1)), float32(math.Inf(-1)), Span{} // scores, and which part is best
	sum := 0.0                                                              // of e^(score − best) over all parts, so that they need not be kept
	var scores []float32                                                    // of a window
	for w := range q.windows(t, l) {
		logits := m.LogitsOf([]Case{w.Case})[0] // (T, 2)
		none = min(none, logits[0]+logits[1])
		before := best
		scores = scores[:0]
		for i := w.own.Begin; i < w.own.End; i++ {
			for j := i; j < min(i+l.MaxAnswer, w.part.End); j++ {
				at := w.first - w.part.Begin
				score := logits[2*(at+i)] + logits[2*(at+j)+1]
				if scores = append(scores, score); score > best {
					best, part = score, Span{i, j + 1}
				}
			}
		}
		sum = float64(sum*float64(exp(before-best))) + float64(kernels.expSum(scores, best, 1))
	}
	top := max(none, best)
	sum = float64(sum*float64(exp(best-top))) + float64(exp(none-top))
	share := func(score float32) float32 { return float32(float64(exp(score-top)) / sum) }
	a := Answer{Score: share(none), NoAnswer: share(none)}
	if part.End > 0 && float64(none)-float64(best) <= threshold {
		text, spans := q.Passage.Text, q.Passage.spans
		bytes := Span{spans[part.Begin].Begin, spans[part.End-1].End}
		a.Text, a.Score = text[bytes.Begin:bytes.End], share(best)
		a.Start = utf8.RuneCountInString(text[:bytes.Begin])
		a.End = a.Start + utf8.RuneCountInString(a.Text)
	}
	return a
}

// AnswerScore is how well the model answers questions. If all of them have an
// answer, as in SQuAD 1.1, it always has to give one.
func (m *Model) AnswerScore(t *Tokenizer, questions []Question, l Limits) AnswerScore {
	threshold := math.Inf(1)
	for _, q := range questions {
		if len(q.Answers) == 0 {
			threshold = 0
		}
	}
	var given []string
	var right [][]string
	for i := range questions {
		given = append(given, m.Answer(t, &questions[i], l, threshold).Text)
		right = append(right, questions[i].Answers)
	}
	return ScoreAnswers(given, right)
}
