package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The command embed: vectors for texts. Which of them stands for a text, the flags say or, in a
// folder of sentence-transformers, its modules.json.

// A pooling is how the vectors of a text's tokens become one.
type pooling struct {
	mode      string // mean, cls, pooled, or "" for an object with pooled and mean
	normalize bool   // to length 1
}

func embed(c *call) error {
	var p pooling
	model := c.flags.String("model", "", "model folder `DIR`")
	layer := c.flags.Int("layer", -1, "which layer mean and cls are of: 0 is the embeddings, 1 the first layer, -1 the last")
	c.flags.StringVar(&p.mode, "pool", "", "write one vector, \"embedding\": mean, cls ([CLS] itself) or pooled (by the pooler); otherwise as modules.json says, or pooled and mean")
	c.flags.BoolVar(&p.normalize, "normalize", false, "with -pool: make its length 1")
	c.flags.Bool("json", true, "write a JSON object for each text (there is no other way)")
	if err := c.parse(1, "model"); err != nil {
		return err
	}
	if p.mode != "" && p.mode != "mean" && p.mode != "cls" && p.mode != "pooled" {
		return usagef("-pool is %q, want mean, cls or pooled", p.mode)
	}
	m, t, err := c.loadToEmbed(*model, &p)
	if err != nil {
		return err
	}
	layers := len(m.encoder)
	if *layer < -layers-1 || *layer > layers {
		return usagef("-layer is %d, want %d to %d", *layer, -layers-1, layers)
	}
	if *layer < 0 {
		*layer += layers + 1
	}
	empty := map[string]any{"embedding": nil}
	if p.mode == "" {
		empty = map[string]any{"mean": nil, "pooled": nil}
	}
	sequence := func(a, b string) (ids, segments []int32, err error) { return c.sequence(m, t, a, b) }
	return c.eachBatch(empty, sequence, func(b *Batch) (results []result) {
		for _, e := range m.Embed(b, *layer) {
			var object any = e
			if p.mode != "" {
				object = map[string][]float32{"embedding": p.vector(&e)}
			}
			results = append(results, result{object: object})
		}
		return results
	})
}

// loadToEmbed loads a model, whose pooler may be missing, and what its folder says of pooling where
// the flags do not.
func (c *call) loadToEmbed(dir string, p *pooling) (*Model, *Tokenizer, error) {
	m, t, fresh, err := LoadModel(dir)
	if err == nil {
		err = m.canTakePairs(dir)
	}
	if err == nil && p.mode == "" {
		*p, err = readPooling(dir, t.LowerCase)
	}
	maxSeq := 0
	if err == nil && exists(filepath.Join(dir, modulesFile)) {
		maxSeq, err = readMaxSeq(dir)
	}
	if err != nil {
		return nil, nil, checkpointsInstead(dir, err)
	}
	if maxSeq > 0 {
		m.Config.MaxPositionEmbeddings = min(maxSeq, m.Config.MaxPositionEmbeddings)
	}
	c.noteVocabulary(m, t)
	if slices.Contains(fresh, thePooler) {
		m.pooler = nil
		if p.mode == "" {
			c.note("%s has no pooler: there is no \"pooled\"", dir)
		}
	}
	if m.pooler == nil && p.mode == "pooled" {
		return nil, nil, fmt.Errorf("%s has no pooler, which -pool pooled needs: take mean or cls", dir)
	}
	return m, t, nil
}

// vector is the one that stands for the text.
func (p *pooling) vector(e *Embedding) []float32 {
	x := map[string][]float32{"mean": e.Mean, "cls": e.First, "pooled": e.Pooled}[p.mode]
	if p.normalize {
		kernels.scale(x, 1/max(norm(x), 1e-12))
	}
	return x
}

// What a folder of sentence-transformers has.
const (
	modulesFile       = "modules.json"
	sentenceModelFile = "sentence_bert_config.json"
)

// readPooling reads what a folder of sentence-transformers says. What is not known is an error
// that names it; -pool then says what to do.
func readPooling(dir string, lowerCase bool) (p pooling, err error) {
	name := filepath.Join(dir, modulesFile)
	var modules []struct{ Type, Path string }
	if err := readJSONIfAny(name, &modules); err != nil || modules == nil {
		return p, err
	}
	for i, module := range modules {
		switch kind := module.Type[strings.LastIndexByte(module.Type, '.')+1:]; {
		case kind == "Transformer" && i == 0 && module.Path == "":
		case kind == "Pooling" && i == 1 && filepath.IsLocal(module.Path):
			if p.mode, err = poolingMode(filepath.Join(dir, module.Path, configFile)); err != nil {
				return p, err
			}
		case kind == "Normalize" && p.mode != "":
			p.normalize = true
		default:
			return p, fmt.Errorf("%s: module %d is %s in %q, which is not known here; -pool says what to do instead", name, i, module.Type, module.Path)
		}
	}
	var old struct {
		LowerCase bool `json:"do_lower_case"`
	}
	var whole struct {
		Prompt *string `json:"default_prompt_name"`
	}
	err = cmp.Or(readJSONIfAny(filepath.Join(dir, sentenceModelFile), &old), readJSONIfAny(filepath.Join(dir, "config_sentence_transformers.json"), &whole))
	switch {
	case err != nil:
		return p, err
	case whole.Prompt != nil:
		return p, fmt.Errorf("%s: default_prompt_name is %q, a text to be put before each other; do so, and say -pool", filepath.Join(dir, "config_sentence_transformers.json"), *whole.Prompt)
	case old.LowerCase && !lowerCase:
		return p, fmt.Errorf("%s: do_lower_case is true, but the tokenizer keeps case; say -pool and give it small letters", filepath.Join(dir, sentenceModelFile))
	}
	return p, nil
}

// readMaxSeq reads how many tokens of a text count there, which -pool does not change; 0 is all.
func readMaxSeq(dir string) (int, error) {
	var sentence struct {
		MaxSeq int `json:"max_seq_length"`
	}
	var tokenizer struct {
		MaxSeq float64 `json:"model_max_length"` // 1e30 stands for none
	}
	if err := cmp.Or(readJSONIfAny(filepath.Join(dir, sentenceModelFile), &sentence), readJSONIfAny(filepath.Join(dir, tokenizerConfigFile), &tokenizer)); err != nil {
		return 0, err
	}
	most := max(sentence.MaxSeq, 0)
	if n := tokenizer.MaxSeq; n >= 1 && n < 1<<20 && (most == 0 || int(n) < most) {
		most = int(n)
	}
	if most > 0 && most < minSeq {
		return 0, fmt.Errorf("%s: max_seq_length is %d, want %d or more", dir, most, minSeq)
	}
	return most, nil
}

// poolingMode is the one that the configuration of a Pooling names, or switches on.
func poolingMode(name string) (string, error) {
	var fields map[string]any
	if err := readJSON(name, &fields); err != nil {
		return "", err
	}
	var modes []string
	if mode, ok := fields["pooling_mode"]; ok {
		modes = append(modes, fmt.Sprint(mode))
	}
	for field, on := range fields {
		if mode, ok := strings.CutPrefix(field, "pooling_mode_"); ok && on == true {
			modes = append(modes, mode)
		}
	}
	slices.Sort(modes)
	if len(modes) == 1 {
		if mode := map[string]string{"mean": "mean", "mean_tokens": "mean", "cls": "cls", "cls_token": "cls"}[modes[0]]; mode != "" {
			return mode, nil
		}
	}
	return "", fmt.Errorf("%s: pooling_mode is %q, want mean or cls; -pool says what to do instead", name, modes)
}
